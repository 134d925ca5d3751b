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

// Animations that the runtime has found. It holds on to them: an element that was hidden since has others, and those of a
// document inside this one it never sees.
let found = new WeakSet();
// When an element is shown, in seconds: with the clip that it lies in.
const starts = new WeakMap();
const shownAt = (element) => {
  const clip = element.closest("[data-start]");
  if (!clip) return 0;
  if (!starts.has(clip)) starts.set(clip, window.__hfResolveMediaStartSeconds?.(clip) ?? 0);
  return starts.get(clip);
};

// Style sheets' animations that the runtime does not know begin when their element is shown, whatever chunk sees it first.
const seekAnimations = (time) =>
  visitDocuments(window, (frame, host) => {
    for (const animation of frame.document.getAnimations()) {
      const element = animation.effect?.target;
      if (found.has(animation) || !element || !(animation instanceof frame.CSSAnimation)) continue;
      const { animationDelay, animationPlayState } = frame.getComputedStyle(element, animation.effect.pseudoElement);
      if (!animationPlayState.includes("paused")) animation.currentTime = Math.max(0, time - shownAt(host ?? element)) * 1000;
      // The runtime puts the time into the style of an element on which it saw no animation.
      else if (element.style.animationDelay === animationDelay) animation.currentTime = 0;
    }
  });

const positive = (value) => (Number.isFinite(value) && value > 0 ? value : 0);
window.__hf = {
  get duration() {
    if (window.__hfTimelinesBuilding || !window.__renderReady) return 0;
    return positive(player()?.getDuration?.()) || positive(Number(root()?.dataset.duration));
  },
  seek(time, options) {
    player().renderSeek(time, options);
    visitDocuments(window, (frame) => frame.__HF_VIRTUAL_TIME__?.seekToTime(time * 1000));
    seekAnimations(time);
  },
};

const compositions = (selector) => Array.from(document.querySelectorAll(selector), (e) => e.dataset.compositionId);
const missingTimelines = () =>
  compositions("[data-composition-id]:not([data-no-timeline])").filter((id) => !window.__timelines?.[id]);
// Timelines that belong to nothing. One of several instances is also known by the name they have in common.
const strayTimelines = () => {
  const known = new Set(compositions("[data-composition-id]"));
  document
    .querySelectorAll("[data-hf-original-composition-id]")
    .forEach((host) => known.add(host.dataset.hfOriginalCompositionId));
  return Object.keys(window.__timelines ?? {}).filter((id) => !known.has(id));
};

// The names of those promises that are not settled after some time.
const late = async (ms, named) => {
  const open = new Set();
  const all = named.map(async ([name, promise]) => {
    open.add(name);
    await promise.catch(() => {});
    open.delete(name);
  });
  await Promise.race([Promise.all(all), new Promise((resolve) => original.setTimeout(resolve, ms))]);
  return Array.from(open);
};

window.__hfProducer = {
  state: () => ({
    loaded: document.readyState === "complete",
    seekable: typeof player()?.renderSeek === "function" && !!window.__renderReady,
    duration: window.__hf.duration,
    missingTimelines: missingTimelines(),
    strayTimelines: strayTimelines(),
  }),

  // Binds late timelines, loads every declared font face and decodes every image; then shows the first frame.
  async prepare(ms) {
    window.__hfForceTimelineRebind?.();
    adoptMedia();
    const missing = await late(ms, Array.from(document.fonts, (face) => [`the font ${face.family}`, face.load()]));
    missing.push(...(await this.settle(ms)));
    found = new WeakSet(document.getAnimations());
    await this.seek(0);
    return missing;
  },

  // Waits until everything that is loading has arrived and can be drawn; returns the names of what is late.
  settle(ms) {
    // A lazy image loads when it comes into view, which is then a request.
    const images = Array.from(document.images).filter((image) => image.complete || image.loading !== "lazy");
    const named = images.map((image) => [`the image ${image.currentSrc.slice(0, 200)}`, image.decode()]);
    return late(ms, [["its fonts", document.fonts.ready], ...named]);
  },

  // Moves the page to a time; `pictures`: what its videos show then, as pairs of name and address.
  async seek(time, pictures = []) {
    await takePictures(pictures);
    window.__hf.seek(time);
    adoptMedia();
    // Elements that came with this frame.
    await takePictures(pictures);
    showPictures(pictures);
    await showAnimations(time);
    await window.__hfWaitForSeekCompletion?.();
  },
};
