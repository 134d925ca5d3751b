// Media elements never load or play: the producer decodes their files and says which picture is shown at a frame. A video
// shows it as its poster, so that place, size, fit and every effect are those of the element itself.
const files = config.media;
// Of each element: its volume as its author sets it, the one it had when it was found, and the picture it has.
const mediaStates = new WeakMap();
const mediaState = (element) => {
  if (!mediaStates.has(element)) mediaStates.set(element, { volume: null, first: null, touched: false, time: 0, address: null, picture: null });
  return mediaStates.get(element);
};
// A browser takes the first source that it can play: of those for this screen, of a type that it knows, and there.
const mediaSource = (element) => {
  const written = element.getAttribute("src");
  if (written !== null) return written;
  const sources = Array.from(element.querySelectorAll("source[src]"), (source) => [source, source.getAttribute("src")]);
  const suits = ([{ media, type }]) => (!media || matchMedia(media).matches) && (!type || element.canPlayType(type) !== "");
  const known = sources.filter(([, address]) => files[pathOf(address)]);
  return (known.find(suits) ?? known[0] ?? sources[0])?.[1] ?? null;
};
// What the plan calls what is under an address: a file of the project by its path, what lies elsewhere by the address.
const nameOf = (address) => {
  const url = new URL(address, document.baseURI);
  return url.origin === location.origin ? decodeURIComponent(url.pathname.slice(1)) : url.href.split("#")[0];
};
const pathOf = (source) => {
  if (!source) return null;
  try {
    return nameOf(source);
  } catch {
    return source;
  }
};
const mediaPath = (element) => pathOf(mediaSource(element));
const mediaFile = (element) => files[mediaPath(element)];

const authoredVolume = (element) => {
  const written = Number.parseFloat(element.dataset.volume ?? "");
  return Number.isFinite(written) ? written : 1;
};
const property = (name, get, set) => {
  const descriptor = { configurable: true, enumerable: true, get, set: set ?? (() => {}) };
  Object.defineProperty(HTMLMediaElement.prototype, name, descriptor);
};
property("volume", function () {
  return mediaState(this).volume ?? authoredVolume(this);
}, function (value) {
  if (!Number.isFinite(Number(value))) return;
  const state = mediaState(this);
  state.before = { volume: state.volume, touched: state.touched };
  queueMicrotask(() => (state.before = null));
  Object.assign(state, { volume: Number(value), touched: true });
});
// The runtime sets volumes too, to what is heard in a preview, and looks at this at once: only what the author sets counts.
property("preload", function () {
  const state = mediaState(this);
  Object.assign(state, state.before, { before: null });
  return "auto";
});
property("duration", function () {
  return mediaFile(this)?.duration ?? NaN;
});
property("readyState", function () {
  return mediaFile(this) ? HTMLMediaElement.HAVE_ENOUGH_DATA : HTMLMediaElement.HAVE_NOTHING;
});
property("currentTime", function () {
  return mediaState(this).time;
}, function (value) {
  mediaState(this).time = Number(value);
});
property("paused", () => true);
property("ended", () => false);
property("autoplay", () => false);
property("src", function () {
  const source = this.getAttribute("src");
  return source === null ? "" : new URL(source, document.baseURI).href;
}, function (value) {
  HTMLElement.prototype.setAttribute.call(this, "preload", "none");
  this.setAttribute("src", value);
  original.setTimeout(() => announce(this));
});
HTMLMediaElement.prototype.load = () => {};
HTMLMediaElement.prototype.pause = () => {};
HTMLMediaElement.prototype.play = () => Promise.resolve();
for (const [name, side] of [["videoWidth", "width"], ["videoHeight", "height"]]) {
  Object.defineProperty(HTMLVideoElement.prototype, name, { configurable: true, get() { return mediaFile(this)?.[side] ?? 0; } });
}

// What a canvas takes from a video is the picture of the frame. The producer gives none to a video outside the document.
const undrawn = new Set();
const pictureOf = (source) => {
  if (!(source instanceof HTMLVideoElement)) return source;
  const { picture } = mediaState(source);
  if (!picture && !source.isConnected && mediaFile(source)) undrawn.add(source);
  return picture ?? source;
};
for (const [owner, names] of [
  [window.CanvasRenderingContext2D, ["drawImage", "createPattern"]],
  [window.OffscreenCanvasRenderingContext2D, ["drawImage", "createPattern"]],
  [window.WebGLRenderingContext, ["texImage2D", "texSubImage2D"]],
  [window.WebGL2RenderingContext, ["texImage2D", "texSubImage2D", "texImage3D", "texSubImage3D"]],
]) {
  for (const name of owner ? names : []) {
    const draw = owner.prototype[name];
    owner.prototype[name] = function (...args) {
      return draw.apply(this, args.map(pictureOf));
    };
  }
}
const createImageBitmap = window.createImageBitmap.bind(window);
window.createImageBitmap = (source, ...rest) => createImageBitmap(pictureOf(source), ...rest);

// Every element that plays has a name of its own, which the plan calls it by: its id, or one like upstream's.
const renderIds = new Map();
const nameMedia = (element) => {
  if (element.dataset.hfRenderId && renderIds.get(element.dataset.hfRenderId) === element) return element.dataset.hfRenderId;
  const kind = element.localName === "img" ? "img" : element.localName;
  let counted = 1;
  const wanted = element.id || element.dataset.hfRenderId;
  const candidate = () => (wanted ? (counted === 1 ? wanted : `${wanted}__hf${counted}`) : `hf-${kind}-${counted}`);
  while (renderIds.has(candidate())) counted++;
  element.dataset.hfRenderId = candidate();
  renderIds.set(candidate(), element);
  return element.dataset.hfRenderId;
};
window.__hfMediaEl = (id) => renderIds.get(id) ?? document.getElementById(id);
window.__hfMediaId = (element) => element.dataset.hfRenderId || element.id || null;

const blank = ({ width, height }) =>
  `data:image/svg+xml,${encodeURIComponent(`<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}"/>`)}`;
// Gives an element the size of its file, and the events of loading.
const announce = (element) => {
  const [state, file] = [mediaState(element), mediaFile(element)];
  if (!file || state.announced === file) return;
  state.announced = file;
  if (element.localName === "video" && file.width && !state.picture) element.poster = blank(file);
  for (const name of ["loadedmetadata", "loadeddata", "canplay", "canplaythrough"]) {
    original.setTimeout(() => element.dispatchEvent(new Event(name)));
  }
};
// Elements in the order of the document; those that are new get a name.
const adoptMedia = () => {
  for (const element of document.querySelectorAll("video, audio")) {
    if (renderIds.get(element.dataset.hfRenderId) === element) continue;
    nameMedia(element);
    mediaState(element).first = mediaState(element).volume;
    element.removeAttribute("controls");
    announce(element);
  }
};

const loadPicture = async (address) => {
  const picture = new Image();
  picture.src = address;
  await picture.decode();
  return picture;
};
// Pictures that load while the frame before is drawn, by address.
let coming = new Map();
const loadAhead = (addresses) => {
  coming = new Map(addresses.map((address) => [address, loadPicture(address)]));
  // Who shows one hears why it failed.
  coming.forEach((picture) => picture.catch(() => {}));
};
// The browser does not see how large pictures are that nothing shows any more, and would keep hundreds of MiB of them.
const MOST_KEPT = 10;
const collectGarbage = window.__hfCollectGarbage;
let kept = 0;
// Gives elements the pictures of a frame, by name. They are decoded before anything is drawn with them.
const takePictures = async (pictures) => {
  const wanted = pictures.filter(([id, address]) => {
    const element = renderIds.get(id);
    return element && mediaState(element).address !== address;
  });
  await Promise.all(wanted.map(async ([id, address]) => {
    const state = mediaState(renderIds.get(id));
    state.picture = await (coming.get(address) ?? loadPicture(address));
    state.address = address;
  }));
  kept += wanted.length;
  if (kept < MOST_KEPT) return;
  kept = 0;
  collectGarbage({ type: "minor" });
};
const showPictures = (pictures) => {
  for (const [id, address] of pictures) {
    const element = renderIds.get(id);
    if (element && element.poster !== address) element.poster = address;
  }
};

// Animated images stand still for the browser: each shows the frame of the moment, counted from when it is shown.
// Browsers give so many microseconds to frames that claim to last no longer than a hundredth of a second.
const SHORTEST = 10_000;
const USUAL = 100_000;
const animations = new Map();
// Addresses of those that cannot be taken apart: they stand still.
const unreadable = new Set();
const openAnimation = async (address) => {
  const data = await (await fetch(address)).blob();
  const decoder = new ImageDecoder({ data: await data.arrayBuffer(), type: data.type.split(";")[0], preferAnimation: true });
  await Promise.all([decoder.completed, decoder.tracks.ready]);
  const { frameCount, repetitionCount } = decoder.tracks.selectedTrack;
  const ends = [];
  for (let frameIndex = 0, end = 0; frameIndex < frameCount; frameIndex++) {
    const { image } = await decoder.decode({ frameIndex });
    end += image.duration > SHORTEST ? image.duration : USUAL;
    ends.push(end);
    image.close();
  }
  return { decoder, ends, plays: repetitionCount + 1, last: null };
};
// The address of a frame's picture, made once for all who show it now.
const pictureAt = (moving, frameIndex) => {
  const { last, decoder } = moving;
  if (last?.frameIndex === frameIndex) return last.address;
  const draw = async () => {
    const { image } = await decoder.decode({ frameIndex });
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width: image.displayWidth, height: image.displayHeight });
    canvas.getContext("2d").drawImage(image, 0, 0);
    image.close();
    // At once: a blob is made when the browser is idle, which it never is while nothing is drawn, or after a second.
    return canvas.toDataURL();
  };
  moving.last = { frameIndex, address: draw() };
  return moving.last.address;
};
const animation = ({ name, address }) => {
  if (!animations.has(name)) animations.set(name, openAnimation(address).catch(() => void unreadable.add(address)));
  return animations.get(name);
};
const frameAt = ({ ends, plays }, micros) => {
  const lasts = ends.at(-1);
  if (micros >= lasts * plays) return ends.length - 1;
  const moment = Math.max(0, micros) % lasts;
  // A microsecond is the rounding of a frame's time.
  return ends.findIndex((end) => end > moment + 1) % ends.length;
};
// The animation that an image shows: its name and its address.
const animationOf = (image) => {
  const state = mediaState(image);
  if (image.currentSrc !== state.address) {
    const address = image.currentSrc;
    const name = address && !address.startsWith("data:") ? nameOf(address) : null;
    state.animation = files[name]?.animated ? { name, address } : null;
  }
  return state.animation;
};
// The runtime takes images away after three seconds that do not say how long they are there; newer ones leave GIFs.
const A_DAY = 86400;
const keepAnimations = () => {
  for (const image of document.querySelectorAll("img[data-start]:not([data-duration], [data-end])"))
    if (/\.gif$/i.test(animationOf(image)?.name)) image.dataset.duration = A_DAY;
};
const showAnimations = (time) =>
  Promise.all(Array.from(document.images, async (image) => {
    const shown = animationOf(image);
    if (!shown) return;
    const state = mediaState(image);
    const moving = await animation(shown);
    if (!moving) return;
    const frameIndex = Math.max(0, frameAt(moving, Math.round((time - shownAt(image)) * 1e6)));
    if (state.frame === frameIndex && image.currentSrc === state.address) return;
    const address = await pictureAt(moving, frameIndex);
    image.removeAttribute("srcset");
    if (image.parentElement?.localName === "picture") image.parentElement.querySelectorAll("source").forEach((source) => source.remove());
    image.src = address;
    await image.decode();
    Object.assign(state, { address, frame: frameIndex });
  }));
