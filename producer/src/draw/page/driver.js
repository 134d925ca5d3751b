// The top document's side of the conversation with the producer: `__hf` is the published runtime's own seek protocol,
// `__hfProducer` what the producer calls.
window.__hfVariables = config.variables;
window.__HF_EXPORT_RENDER_SEEK_CONFIG = {
  mode: "preview-phase",
  diagnostics: false,
  step: 1 / 120,
  offsetFraction: 0.5,
  fps: config.fps,
  fpsSource: "render-options",
  owner: "runtime",
};

// The runtime waits for the ends of these transitions before it is ready, and they only move with the video's time.
Object.defineProperty(window, "__hfD3", { get: () => [], set() {} });

// Whether there is a canvas that something is drawn on.
let drawsOnCanvas = false;
for (const { prototype } of [HTMLCanvasElement, OffscreenCanvas]) {
  const { getContext } = prototype;
  prototype.getContext = function (...kind) {
    drawsOnCanvas = true;
    return Reflect.apply(getContext, this, kind);
  };
}

// Faces that are loaded ahead: those that the document's text needs, for scripts measure also what is hidden. The others come when
// a text needs them, which is waited for; but no canvas waits, so where there is one they are all loaded, except of families in
// hundreds of pieces.
const MOST_FACES = 100;
const faces = () => {
  const all = Array.from(document.fonts);
  if (drawsOnCanvas && all.length <= MOST_FACES) return all;
  const others = document.documentElement.outerHTML.match(/[^\0-\xff]/gu);
  const characters = Array.from(new Set(others), (character) => character.codePointAt());
  const needs = (range) => {
    const [first, last = first] = range.replace("U+", "").split("-").map((point) => parseInt(point, 16));
    return first <= 0xff || characters.some((character) => first <= character && character <= last);
  };
  return all.filter((face) => face.unicodeRange.split(", ").some(needs));
};

const root = () => document.querySelector("[data-composition-id]");
const player = () => window.__player;

// Calls `visit` with every document and the element it lies in, none for the top one.
const visitDocuments = (frame, visit, host = null) => {
  visit(frame, host);
  for (let i = 0; i < frame.frames.length; i++) {
    try {
      visitDocuments(frame.frames[i], visit, host ?? frame.frames[i].frameElement);
    } catch {
      // A document of another origin: it was never allowed to load.
    }
  }
};

const inDocuments = (work) => {
  const works = [];
  visitDocuments(window, (frame) => frame.__HF_VIRTUAL_TIME__ && works.push(work(frame.__HF_VIRTUAL_TIME__)));
  return Promise.all(works);
};

// Animations that the runtime has found. It holds on to them: an element that was hidden since has others, and those of a
// document inside this one it never sees.
let found = new WeakSet();
// When an element that has a start begins, in seconds. The runtime answers for media, which begin after the composition that they
// lie in: of a composition itself it is asked for something in it.
const startOf = (element) => {
  const resolved = (inside) => window.__hfResolveMediaStartSeconds?.(inside) ?? 0;
  if (element.dataset.compositionId === undefined) return resolved(element);
  const known = Array.from(element.children).find(({ dataset }) => dataset.start === undefined || Number.isFinite(Number(dataset.start)));
  return known ? resolved(known) - Number(known.dataset.start ?? 0) : resolved(element);
};
// Seconds of an element that the host of its composition does not play.
const cutOf = (element) => Number(element.dataset.hfCut ?? 0);
// A number that is written as one and nothing else; null for anything else.
const number = (text) => (text?.trim() && Number.isFinite(Number(text)) ? Number(text) : null);
// Seconds of a file, or of the composition of a host, from which on it is played.
const inPointOf = ({ dataset }) =>
  [dataset.playbackStart, dataset.mediaStart].map(number).find((seconds) => seconds !== null && seconds >= 0) ?? 0;
// What is 0 seconds of a composition is then of the video.
const originOf = (host) => startOf(host) - inPointOf(host);
// When an element is shown, in seconds: with the clip that it lies in.
const starts = new WeakMap();
const shownAt = (element) => {
  const clip = element.closest("[data-start]");
  if (!clip) return 0;
  if (!starts.has(clip)) starts.set(clip, clip.dataset.compositionId === undefined ? startOf(clip) - cutOf(clip) : originOf(clip));
  return starts.get(clip);
};

// When an animation or a transition began that the page did not have from its clip's beginning on: with the frame it was seen first in.
const begun = new WeakMap();
// The time of the frame before, in seconds.
let lastTime = Infinity;
// An element with an animation that begins when something happens, and lasts longer than what is gone through before a chunk.
let beganLate = null;
const begins = (animation, time, isLate) => {
  if (isLate && animation.effect?.getComputedTiming().endTime > config.preRollMs) beganLate ??= animation.effect.target;
  begun.set(animation, time);
};
// Where an animation is at a time in seconds, in milliseconds; nothing where the runtime has put it right. Those of style sheets
// that it does not know begin when their element is shown, and those of scripts when they were made, whatever chunk sees them first.
const placeOf = (animation, time, frame, host) => {
  const element = animation.effect?.target;
  if (animation.timeline instanceof frame.ScrollTimeline) return undefined;
  if (animation instanceof frame.CSSTransition) {
    if (!begun.has(animation)) begins(animation, time, time > lastTime);
    return (time - begun.get(animation)) * 1000;
  }
  if (!element) return undefined;
  if (!(animation instanceof frame.CSSAnimation)) {
    const madeAt = frame.__HF_VIRTUAL_TIME__.madeAt(animation);
    if (madeAt > 0 && !begun.has(animation)) begins(animation, madeAt, true);
    const seen = element.getRootNode() === document && animation.playbackRate === 1;
    return seen ? undefined : (time - madeAt) * 1000 * animation.playbackRate;
  }
  const shown = shownAt(host ?? outermost(element));
  if (!found.has(animation) && !begun.has(animation)) {
    const isLate = shown <= lastTime && lastTime < time;
    begins(animation, isLate ? time : shown, isLate);
  }
  const since = Math.max(0, time - (begun.get(animation) ?? shown)) * 1000;
  // The runtime counts from the beginning of the video for what has no start of its own in a sub-composition that begins later, and
  // does not know what is cut.
  if (found.has(animation)) return cutOf(element) || (shown !== 0 && element.dataset.start === undefined) ? since : undefined;
  const { animationDelay, animationPlayState } = frame.getComputedStyle(element, animation.effect.pseudoElement);
  if (!animationPlayState.includes("paused")) return since;
  // The runtime puts the time into the style of an element on which it saw no animation.
  return element.style.animationDelay === animationDelay ? 0 : undefined;
};
// The element of the document that a shadow tree belongs to.
const outermost = (element) => {
  let root;
  while ((root = element.getRootNode()).host) element = root.host;
  return element;
};

const seekAnimations = (time) =>
  visitDocuments(window, (frame, host) => {
    for (const tree of frame.__HF_VIRTUAL_TIME__?.trees() ?? [frame.document]) {
      for (const animation of tree.getAnimations()) {
        const place = placeOf(animation, time, frame, host);
        if (place !== undefined) animation.currentTime = place;
      }
      if (!tree.querySelector("animate, animateMotion, animateTransform, set")) continue;
      for (const svg of tree.querySelectorAll("svg")) {
        if (svg.ownerSVGElement) continue;
        if (!svg.animationsPaused()) svg.pauseAnimations();
        svg.setCurrentTime(Math.max(0, time - shownAt(host ?? outermost(svg))));
      }
    }
  });

// Players of Lottie count from the beginning of the composition they are in and begin again, by the rules of newer runtimes than this
// one, which moves those of lottie-web to the video's time, and does not know those of dotlottie-web.
const originOfPlayer = ({ wrapper, canvas }) => {
  const host = (wrapper ?? canvas)?.closest?.("[data-composition-id]");
  return host ? originOf(host) : 0;
};
const seekPlayers = (time) => {
  for (const player of window.__hfLottie ?? []) {
    const { totalFrames, frameRate, duration } = player;
    const since = Math.max(0, time - originOfPlayer(player));
    const shown = (frame) => (player.loop === true ? frame % totalFrames : Math.min(frame, totalFrames - 1));
    if (!(totalFrames > 0)) continue;
    if (typeof player.goToAndStop === "function" && frameRate > 0) {
      const frame = since * frameRate;
      if (frame >= totalFrames) player.goToAndStop(shown(frame), true);
      else if (since !== time) player.goToAndStop(since * 1000, false);
    } else if (typeof player.setFrame === "function" && !player.setCurrentRawFrameValue && duration > 0) {
      player.setFrame(shown((since * totalFrames) / duration));
    }
  }
};

// Whether a composition does not say how long it lasts.
const saysNothing = () => lasts > 0 || !positive(Number(root()?.dataset.duration));

// When the last animation ends that has an end, in seconds: a composition that says nothing else does not end before (upstream's rule).
const animationsEnd = () => {
  const { trees, madeAt } = window.__HF_VIRTUAL_TIME__;
  const animations = trees().flatMap((tree) => tree.getAnimations()).filter((animation) => !(animation instanceof CSSTransition));
  const ends = animations.map((animation) => {
    const target = animation.effect?.target;
    const begins = animation instanceof CSSAnimation && target ? shownAt(outermost(target)) : madeAt(animation);
    return begins + Number(animation.effect?.getComputedTiming().endTime) / 1000;
  });
  const length = ({ totalFrames, frameRate, duration }) => (frameRate > 0 ? totalFrames / frameRate : duration);
  const players = (window.__hfLottie ?? []).map((player) => originOfPlayer(player) + length(player));
  return ends.concat(players).filter(Number.isFinite).reduce((last, end) => Math.max(last, end), 0);
};

// Whether videos show pictures: what drew before it had any does so again.
let hasPictures = false;
const tellAgain = (time) => {
  const waits = [];
  const waitUntil = (promise) => void waits.push(promise);
  window.dispatchEvent(new CustomEvent("hf-seek", { detail: { time, waitUntil } }));
  return Promise.allSettled(waits);
};
// How long the producer has it last, in seconds.
let lasts = 0;

const positive = (value) => (Number.isFinite(value) && value > 0 ? value : 0);
window.__hf = {
  get duration() {
    if (window.__hfTimelinesBuilding || !window.__renderReady) return 0;
    const known = positive(player()?.getDuration?.()) || positive(Number(root()?.dataset.duration));
    // Of animations the runtime may know or not yet.
    return known && saysNothing() ? Math.max(known, lasts, animationsEnd()) : known;
  },
  seek(time, options) {
    // What timelines call is told the frame's time; timers that are due until then have theirs afterwards.
    const before = now;
    now = time * 1000;
    reseed(now);
    player().renderSeek(time, options);
    now = before;
    visitDocuments(window, (frame) => frame.__HF_VIRTUAL_TIME__?.seekToTime(time * 1000, hasPictures));
    seekAnimations(time);
    seekPlayers(time);
    lastTime = time;
  },
};

const compositions = (selector) => Array.from(document.querySelectorAll(selector), (e) => e.dataset.compositionId);
const missingTimelines = () =>
  Array.from(new Set(compositions("[data-composition-id]:not([data-no-timeline])").filter((id) => !window.__timelines?.[id])));
// Timelines that belong to nothing. One of several instances is also known by the name they have in common.
const strayTimelines = () => {
  const known = new Set(compositions("[data-composition-id]"));
  document
    .querySelectorAll("[data-hf-original-composition-id]")
    .forEach((host) => known.add(host.dataset.hfOriginalCompositionId));
  return Object.keys(window.__timelines ?? {}).filter((id) => !known.has(id));
};

// The names of promises that scripts have the runtime wait for, and that are not settled.
const builds = new Map();
const openBuilds = () => {
  for (const [name, promise] of Object.entries(window.__hf.buildReady ?? {})) {
    if (typeof promise?.then !== "function" || builds.has(promise)) continue;
    builds.set(promise, name);
    const settled = () => builds.set(promise, null);
    promise.then(settled, settled);
  }
  return Array.from(builds.values()).filter((name) => name !== null);
};

// The names of those promises that are not settled in time.
const late = async (named) => {
  const open = new Set();
  const all = named.map(async ([name, promise]) => {
    open.add(name);
    await promise.catch(() => {});
    open.delete(name);
  });
  await Promise.race([Promise.all(all), new Promise((resolve) => original.setTimeout(resolve, config.settleMs))]);
  return Array.from(open);
};

// Maps that the runtime waits for draw themselves again and again before they have loaded. Some say that they have loaded only once,
// and the runtime may ask later.
const MAPS = ["__hfMapbox", "__hfMaplibre", "__hfLeaflet", "__hfGoogleMaps"];
const mapsOf = (names) => names.flatMap((name) => window[name] ?? []);
const tiled = () => mapsOf(["__hfMapbox", "__hfMaplibre"]).filter((map) => map.areTilesLoaded);
const heard = new WeakSet();
const listen = (map) => {
  if (heard.has(map)) return;
  heard.add(map);
  let told = false;
  map.once("load", () => (told = true));
  const loaded = map.loaded.bind(map);
  map.loaded = () => told || loaded();
};
const drawMaps = () => {
  if (window.__renderReady || !mapsOf(MAPS).length) return;
  tiled().forEach(listen);
  window.__HF_VIRTUAL_TIME__.drawAgain();
};
// The runtime draws once more what it grades when a table of colours has come.
// It finds elements by what it is told of them, not themselves.
const GRADED = "img[data-color-grading], video[data-color-grading]";
const gradings = () =>
  Array.from(document.querySelectorAll(GRADED), (element, selectorIndex) => [
    element,
    window.__hf.colorGrading?.getStatus({ selector: GRADED, selectorIndex }),
  ]);
const tablesLoaded = async () => {
  const load = () => gradings().some(([, status]) => status?.state === "pending" && status.message === "Loading LUT");
  while (load()) await new Promise((resolve) => original.setTimeout(resolve, PAUSE));
};

// They load tiles when a frame asks for them, and show them when they are drawn once more.
const PAUSE = 5;
const LONGEST_LOAD = 2000;
let mapsLoad = true;
const settleMaps = async () => {
  const loads = () => mapsLoad && tiled().some((map) => !map.isStyleLoaded() || !map.areTilesLoaded());
  if (!loads()) return;
  for (let waited = 0; loads(); waited += PAUSE) {
    // What has not come by then is not waited for in every frame.
    mapsLoad = waited < LONGEST_LOAD;
    await new Promise((resolve) => original.setTimeout(resolve, PAUSE));
    window.__HF_VIRTUAL_TIME__.drawAgain();
  }
  window.__HF_VIRTUAL_TIME__.drawAgain();
};

// Takes the page's background away, and not those of compositions (upstream's rule): what is left is what an overlay shows.
const takeBackgroundsAway = () => {
  const style = document.createElement("style");
  style.textContent = "html, body { background: transparent !important; }";
  (document.head ?? document.documentElement).append(style);
};

// Binds late timelines, loads the font faces that are needed and decodes every image; then shows the first frame.
let prepared;
const prepare = async () => {
  if (config.transparent) takeBackgroundsAway();
  visitDocuments(window, settleLayers);
  window.__hfForceTimelineRebind?.();
  takeTransitionsAway();
  // A chunk begins with a leap in time, which GSAP would take for a pause.
  visitDocuments(window, (frame) => frame.gsap?.ticker?.lagSmoothing(0));
  adoptMedia();
  keepAnimations();
  const missing = await late(faces().map((face) => [`the font ${face.family}`, face.load()]));
  missing.push(...(await window.__hfProducer.settle()));
  found = new WeakSet(document.getAnimations());
  await window.__hfProducer.seek(0);
  return missing;
};

// A page prepares itself as soon as it has everything: it may be long until it is asked to, and short timers run on the real clock
// until then. What a page that never has everything is good for, the producer decides.
const LOOK_AGAIN = 10;
const isComplete = () => {
  try {
    const { loaded, seekable, duration, missingTimelines } = window.__hfProducer.state();
    return loaded && seekable && duration > 0 && !(config.timelines && missingTimelines.length);
  } catch {
    return false;
  }
};
const prepareWhenComplete = () => {
  if (isComplete()) window.__hfProducer.prepare().catch(() => {});
  else original.setTimeout(prepareWhenComplete, LOOK_AGAIN);
};
original.setTimeout(prepareWhenComplete, LOOK_AGAIN);

window.__hfProducer = {
  state() {
    drawMaps();
    return {
      loaded: document.readyState === "complete",
      seekable: typeof player()?.renderSeek === "function" && !!window.__renderReady && joined(),
      duration: window.__hf.duration,
      missingTimelines: missingTimelines(),
      strayTimelines: strayTimelines(),
      root: root()?.dataset.compositionId,
      openBuilds: openBuilds(),
      usesGsap: !!window.gsap,
    };
  },

  // When the animations end that have an end, in seconds.
  animationsEnd,

  // Has a composition that says nothing last so many seconds.
  last(seconds) {
    if (!saysNothing()) return;
    lasts = seconds;
    root().dataset.duration = seconds;
  },

  // Has videos that do not say when they begin do so at these times, in seconds, by name.
  beginVideos(times) {
    adoptMedia();
    for (const [id, time] of Object.entries(times)) {
      const video = renderIds.get(id);
      const later = video?.dataset.hfAutoStart === undefined ? 0 : time - startOf(video);
      if (later < 1e-6) continue;
      video.dataset.start = Number(video.dataset.start) + later;
      starts.delete(video);
    }
  },

  // Until its fonts have come a document is not read on: a script that measures text at once would measure other fonts, or not, as
  // it happens. The server keeps this script back until it hears of them.
  holdForFonts() {
    document.currentScript.remove();
    const needed = faces();
    const loads = needed.map((face) => face.load());
    if (needed.every((face) => face.status === "loaded")) return;
    const held = `${config.held}?${original.randomUUID()}`;
    document.write(`<script src="${held}"></script>`);
    Promise.allSettled(loads).then(() => original.fetch(held, { method: "POST" }));
  },

  // Shows the first frame, once; returns the names of what is late.
  prepare() {
    return (prepared ??= prepare());
  },

  // Waits until everything that is loading has arrived and can be drawn; returns the names of what is late.
  settle() {
    // A lazy image loads when it comes into view, which is then a request.
    const images = Array.from(document.images).filter((image) => image.complete || image.loading !== "lazy");
    const named = images.map((image) => [`the image ${image.currentSrc.slice(0, 200)}`, image.decode()]);
    return late([["its fonts", document.fonts.ready], ["the tables of its colours", tablesLoaded()], ...named]);
  },

  // Some frames from one to before another that are not to be left out on the way.
  momentsIn: (first, end, most) => momentsIn(first, end).slice(0, most),

  // Moves the page to a time; `pictures`: what its videos show then, as pairs of name and address; `ahead`: the addresses of
  // what they will show in the frame after that. The answer is whether scenes have to be blended before the page is drawn.
  async seek(time, pictures = [], ahead = []) {
    removeCopies();
    hasPictures = pictures.length > 0;
    await takePictures(pictures);
    await inDocuments((clock) => clock.hearOfIntersections());
    const isThere = time === lastTime;
    window.__hf.seek(time);
    if (isThere && hasPictures) await tellAgain(time);
    await inDocuments((clock) => clock.takeSteps());
    await inDocuments((clock) => clock.hearWorkers());
    await settleMaps();
    adoptMedia();
    // Elements that came with this frame.
    await takePictures(pictures);
    showPictures(pictures);
    await showAnimations(time);
    await drawSources(time);
    await window.__hfWaitForSeekCompletion?.();
    loadAhead(ahead);
    return !!window.__hf_page_composite_pending;
  },
};
