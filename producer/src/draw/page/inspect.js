// Planning only: what the page uses that cannot be drawn rightly.
const place = (element) => {
  const name = element.localName + (element.id ? `#${element.id}` : "");
  return `<${name}${element.classList.length ? "." + Array.from(element.classList).join(".") : ""}>`;
};

const inEveryDocument = (work, frame = window) => {
  const result = [work(frame)];
  for (let i = 0; i < frame.frames.length; i++) {
    try {
      result.push(...inEveryDocument(work, frame.frames[i]));
    } catch {
      // A document of another origin: it was never allowed to load.
    }
  }
  return result;
};

// Seconds from when to when an element with times is there; null where it says no end. One of which the beginning is not played
// begins before its host.
const slot = (element) => {
  const cut = cutOf(element);
  const start = startOf(element) - cut;
  const { duration, hfAuthoredDuration, end, hfAuthoredEnd } = element.dataset;
  const lasts = number(duration) ?? number(hfAuthoredDuration);
  const ends = number(end) ?? number(hfAuthoredEnd);
  return [start, lasts > 0 ? start + cut + lasts : ends > start ? ends : null];
};
// Where in its file an element begins, in seconds.
const mediaStart = (element) => inPointOf(element) - cutOf(element) * (positive(number(element.dataset.playbackRate)) || 1);
const hosts = (element) => {
  const found = [];
  for (let host = element.parentElement; host && host !== root(); host = host.parentElement)
    if (host.dataset.start !== undefined) found.push(slot(host));
  return found;
};
const TIMES = ["data-start", "data-duration", "data-end", "data-media-start", "data-playback-start", "data-fade-in", "data-fade-out"];
// Seconds that an image is there which does not say how long.
const IMAGE = 3;
// Seconds between two looks at whether a scene is seen.
const SCENE_STEP = 0.1;
// Whether a script may set volumes.
const setsVolumes = async () => {
  if (Array.from(document.querySelectorAll("video, audio")).some((element) => mediaState(element).touched)) return true;
  const own = Array.from(document.scripts).filter((script) => !script.src.includes("/__hf/"));
  // One that cannot be read any more, as a blob that was let go of, may say anything.
  const read = (address) => fetch(address).then((response) => response.text()).catch(() => null);
  const texts = await Promise.all(own.map((script) => (script.src ? read(script.src) : script.textContent)));
  return texts.some((text) => text === null || /\bvolume\b/.test(text));
};

// Upstream's code of effects, once it has been asked for, and what came out of it last.
let effectsRuntime;
const loadEffects = async (text) => {
  const { getAudioFxRuntimeScript } = await import(URL.createObjectURL(new Blob([text], { type: "text/javascript" })));
  (0, eval)(getAudioFxRuntimeScript());
  return window.__HF_AUDIO_FX;
};
let affected = new Float32Array();

Object.assign(window.__hfProducer, {
  // Everything that plays, in the order of the document.
  media() {
    adoptMedia();
    const groupOf = (element) => element.dataset.audioGroup && document.getElementById(element.dataset.audioGroup);
    const effects = ({ dataset: { fxChain, automation } }) => (fxChain ? { chain: fxChain, automation } : null);
    const bus = (owner, volume, automation) => ({ place: place(owner), volume, automation, effects: effects(owner) });
    const group = (element) => {
      const owner = groupOf(element);
      return owner ? bus(owner, authoredVolume(owner), owner.dataset.automation) : null;
    };
    return Array.from(document.querySelectorAll("video, audio"), (element) => ({
      id: element.dataset.hfRenderId,
      video: element.localName === "video",
      place: place(element),
      path: mediaPath(element),
      slot: slot(element),
      hosts: hosts(element),
      mediaStart: mediaStart(element),
      rate: number(element.dataset.playbackRate) ?? element.defaultPlaybackRate,
      repeat: element.loop,
      muted: element.muted || element.defaultMuted,
      silent: element.dataset.hasAudio === "false" || !!groupOf(element)?.closest("[data-hidden]"),
      hidden: element.closest("[data-hidden]") !== null,
      volume: element.volume,
      automation: element.dataset.automation ?? null,
      fades: [element.dataset.fadeIn, element.dataset.fadeOut].map((fade) => Math.max(0, number(fade) ?? 0)),
      effects: effects(element),
      group: group(element),
      master: bus(root(), 1),
    }));
  },

  // When scenes are seen first in which videos lie that do not say when they begin, in seconds, by the videos' names (upstream's rule).
  sceneStarts(duration) {
    const isSeen = (video) => Number(getComputedStyle(video.closest(".scene")).opacity) > 0;
    const seek = (time) => window.__hf.seek(time, { suppressEvents: true });
    const firstSeen = (video, hidden, seen) => {
      while (seen - hidden > 1 / 60) {
        const between = (hidden + seen) / 2;
        seek(between);
        if (isSeen(video)) seen = between;
        else hidden = between;
      }
      return seen;
    };
    const starts = {};
    let waiting = Array.from(document.querySelectorAll(".scene video[data-hf-auto-start]"));
    for (let step = 0; waiting.length && step * SCENE_STEP < duration; step++) {
      seek(step * SCENE_STEP);
      const seen = new Set(waiting.filter(isSeen));
      waiting = waiting.filter((video) => !seen.has(video));
      if (step === 0) continue;
      for (const video of seen) starts[nameMedia(video)] = firstSeen(video, (step - 1) * SCENE_STEP, step * SCENE_STEP);
    }
    return starts;
  },

  setsVolumes,

  // Sends sound through effects. The samples of its channels take turns. The answer is how many there are then.
  async applyEffects(addresses, channels, rate, chain, automation) {
    const load = async (address) => (await fetch(address)).arrayBuffer();
    const [runtime, samples] = await Promise.all(addresses.map(load));
    const { render } = await (effectsRuntime ??= loadEffects(runtime));
    const mixed = new Float32Array(samples);
    const planes = Array.from({ length: channels }, () => new Float32Array(mixed.length / channels));
    mixed.forEach((sample, i) => (planes[i % channels][Math.floor(i / channels)] = sample));
    const made = await render(planes, rate, chain, automation ?? undefined);
    affected = new Float32Array(made[0].length * channels);
    made.forEach((plane, channel) => plane.forEach((sample, i) => (affected[i * channels + channel] = sample)));
    return affected.length;
  },
  // Some of them, as base64 of their bytes.
  affected: (from, count) => new Uint8Array(affected.slice(from, from + count).buffer).toBase64(),

  // Whether something shows other pictures than a page's own and still images.
  films: () =>
    document.querySelector("video") !== null ||
    Object.values(files).some(({ animated }) => animated) ||
    inEveryDocument((frame) => frame.__HF_VIRTUAL_TIME__?.trees() ?? [])
      .flat()
      .some((tree) => tree.querySelector("canvas")),

  // Animated images by name: those that are in an `<img>` of this document and nowhere else move, and nobody moves the others.
  animatedImages() {
    const animated = Object.keys(files).filter((name) => files[name].animated);
    const images = new Set(Array.from(document.images, (image) => animationOf(image)?.name));
    const styles = animated.length ? inEveryDocument((frame) => Array.from(frame.document.querySelectorAll("*"), (element) =>
      [null, "::before", "::after"].map((part) => {
        const { backgroundImage, borderImageSource, content, listStyleImage, maskImage } = frame.getComputedStyle(element, part);
        return [backgroundImage, borderImageSource, content, listStyleImage, maskImage].join();
      }).join())).flat() : [];
    const inStyles = (name) => styles.some((style) => [`"${name}"`, `/${name}"`].some((end) => decodeURI(style).includes(end)));
    const moving = animated.filter((name) => images.has(name) && !inStyles(name));
    return { moving, stuck: animated.filter((name) => !moving.includes(name)) };
  },

  // Which of some addresses that images were asked for under are of none that can be shown, or, among those that may be cut
  // short, whose types are given, of one that is: a browser shows as much of it as there is.
  async brokenImages(addresses, doubtful) {
    const whole = new Set(Array.from(document.images).filter((image) => image.naturalWidth).map((image) => image.currentSrc));
    const broken = addresses.filter((address) => unreadable.has(address));
    for (const address of addresses) {
      if (!whole.has(address)) await loadPicture(address).catch(() => broken.push(address));
    }
    for (const [address, type] of Object.entries(doubtful)) {
      // A composition may keep its scripts from reading files; then it shows what it shows.
      const data = await fetch(address).then((response) => response.arrayBuffer()).catch(() => null);
      if (!data) continue;
      const decoder = new ImageDecoder({ data, type });
      await decoder.decode().then(({ image }) => image.close(), () => broken.push(address));
      decoder.close();
    }
    return broken;
  },

  // Has elements as loud as when they were found, and the page at its beginning, to which timelines come from the frame after it: so
  // they call what sets volumes there.
  rewindVolumes() {
    for (const element of document.querySelectorAll("video, audio")) mediaState(element).volume = mediaState(element).first;
    window.__hf.seek(1 / config.fps, { suppressEvents: true });
    window.__hf.seek(0);
  },
  // The volumes that scripts and timelines give to elements at some moments, one after the other: by name, those at which one changes.
  volumes(times) {
    const found = new Map();
    let before = null;
    for (const time of times) {
      window.__hf.seek(time);
      for (const element of document.querySelectorAll("video, audio")) {
        const points = found.get(nameMedia(element)) ?? [];
        found.set(element.dataset.hfRenderId, points);
        const last = points.at(-1);
        if (last?.[1] === element.volume) continue;
        if (last && last[0] !== before) points.push([before, last[1]]);
        points.push([time, element.volume]);
      }
      before = time;
    }
    return Object.fromEntries(found);
  },

  // Puts a copy of all text that was drawn on canvases into the documents; the page is of no other use afterwards.
  showCanvasTexts: () => void inEveryDocument((frame) => frame.__hfShowCanvasTexts?.()),

  // The scripts that go on from frame to frame: address and line.
  steppers: () => inEveryDocument((frame) => frame.__hfSteppers?.() ?? []).flat(),

  // An element with an animation that begins when something happens.
  beganLate: () => beganLate && place(beganLate),

  // What has a tween that goes on from the letters it showed before.
  scrambles() {
    const scrambling = allAnimations().find(({ vars }) => vars.scrambleText);
    return scrambling ? place(targetsOf(scrambling)[0]) : null;
  },

  // Whether a timeline calls something in every frame that may go on from what it did before.
  addsUp: () => allAnimations().some(({ vars }) => mayAddUp(vars.onUpdate)),

  // Times that are none, which the runtime takes for 0 or leaves out, by attribute and element.
  noTimes() {
    const named = ["id", "data-composition-id", "data-hf-authored-id", "data-hf-original-composition-id"];
    const names = new Set(named.flatMap((name) => Array.from(document.querySelectorAll(`[${name}]`), (element) => element.getAttribute(name))));
    const isAfter = (text) => names.has(/^([\w.:-]+?)(?:\s*[+-]\s*[\d.]+)?$/.exec(text.trim())?.[1]) || names.has(text.trim());
    const isTime = (name, text) => !text.trim() || number(text) !== null || (name === "data-start" && isAfter(text));
    return TIMES.flatMap((name) =>
      Array.from(document.querySelectorAll(`[${name}]`))
        .filter((element) => !isTime(name, element.getAttribute(name)))
        .map((element) => `${name}="${element.getAttribute(name).slice(0, 80)}" of ${place(element)}`));
  },

  // Images that do not say how long they are there, and so go before the video ends (the runtime's rule); those that move were kept.
  briefImages(duration) {
    const says = ({ dataset }) => [dataset.duration, dataset.hfAuthoredDuration, dataset.end, dataset.hfAuthoredEnd].some((seconds) => positive(number(seconds)));
    const isBrief = (image) => !says(image) &&
      Math.min(duration, ...hosts(image).map(([, end]) => end ?? Infinity)) > startOf(image) + IMAGE + SCENE_STEP;
    return Array.from(document.querySelectorAll("img[data-start]")).filter(isBrief).map(place);
  },

  // Elements that the browser moves by itself, by its own clock or not at all.
  movedByBrowser: () =>
    inEveryDocument(({ document }) => Array.from(document.querySelectorAll("marquee, progress:not([value])"), place)).flat(),

  // Fonts of text on canvases that was drawn before they had loaded.
  earlyCanvasTexts: () =>
    Array.from(new Set(inEveryDocument((frame) => Array.from(frame.__hfEarlyCanvasTexts?.() ?? [])).flat())),

  // The characters of text that is not shown, without those that every font has.
  hiddenCharacters: () => {
    const isHidden = (parent) => parent && !parent.closest("script, style") && !parent.checkVisibility();
    const found = inEveryDocument(({ document }) => {
      const texts = document.createTreeWalker(document.body ?? document.documentElement, NodeFilter.SHOW_TEXT);
      let hidden = "";
      while (texts.nextNode()) {
        const { data, parentElement } = texts.currentNode;
        if (/[^\0-\xff]/.test(data) && isHidden(parentElement)) hidden += data.replace(/[\0-\xff]/g, "");
      }
      return hidden;
    });
    return Array.from(new Set(found.join(""))).join("");
  },

  families: () => Array.from(document.fonts, (face) => face.family.replace(/^["']|["']$/g, "").toLowerCase()),

  // What would be drawn wrongly, in words.
  unsupported() {
    const found = [];
    const look = (selector, words) => {
      const element = document.querySelector(selector);
      if (element) found.push(`${words} (${place(element)}) cannot be rendered yet: remove it`);
    };
    look("[data-composition-src]", "sub-compositions that a script adds");
    const outside = Array.from(undrawn).filter((video) => !video.isConnected);
    const remedy = "is drawn by a script and is not in the document: append it, with data-start";
    return found.concat(outside.map((video) => `the video ${mediaPath(video)} ${remedy}`));
  },

  // Media whose colours are to be graded and are not, and why.
  ungraded: () =>
    gradings()
      .filter(([, status]) => status?.state === "unavailable")
      .map(([element, { message }]) => `${place(element)} has the colours of its file (${message})`),

  // Whether scenes change through shaders. Without a compositor for them the library itself fades from one to the other.
  cutsTransitions: () => !!window.__hf.transitions?.length && !blends(),
});
