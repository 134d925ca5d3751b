// Virtual time for one document: everything a page can read the clock or chance from follows the frame being drawn.
// Object shape and semantics are the published runtime's `__HF_VIRTUAL_TIME__`; timers stay real, for loading needs them.
const original = {
  setTimeout: window.setTimeout.bind(window),
  clearTimeout: window.clearTimeout.bind(window),
  setInterval: window.setInterval.bind(window),
  clearInterval: window.clearInterval.bind(window),
  requestAnimationFrame: window.requestAnimationFrame.bind(window),
  cancelAnimationFrame: window.cancelAnimationFrame.bind(window),
};
let now = 0;

// The browser does not tell of their requests: whether they have finished could not be known.
delete window.SharedWorker;

const RealDate = Date;
const VirtualDate = new Proxy(RealDate, {
  apply: () => new RealDate(now).toString(),
  construct: (target, args, newTarget) =>
    Reflect.construct(target, args.length ? args : [now], newTarget === VirtualDate ? target : newTarget),
  get: (target, key) => (key === "now" ? () => now : Reflect.get(target, key)),
});
RealDate.prototype.constructor = VirtualDate;
window.Date = VirtualDate;
performance.now = () => now;

let nextCallback = 1;
let callbacks = new Map();
window.requestAnimationFrame = (callback) => {
  callbacks.set(nextCallback, callback);
  return nextCallback++;
};
window.cancelAnimationFrame = (id) => callbacks.delete(id);

// mulberry32, seeded anew from the frame's time: chance is the same however the video is cut into chunks.
let seed = 0;
const random32 = () => {
  seed = (seed + 0x6d2b79f5) | 0;
  let x = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
  return (x ^ (x >>> 14)) >>> 0;
};
const reseed = (ms) => (seed = (Math.imul(ms, -1640531527) + 0x9e3779b9) | 0);
reseed(0);
Math.random = () => random32() / 4294967296;
crypto.getRandomValues = (array) => {
  const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  for (let i = 0; i < bytes.length; i++) bytes[i] = random32();
  return array;
};
crypto.randomUUID = () => {
  const b = crypto.getRandomValues(new Uint8Array(16));
  b[6] = (b[6] & 0x0f) | 0x40;
  b[8] = (b[8] & 0x3f) | 0x80;
  const hex = Array.from(b, (x) => x.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
};

// An element that is hidden loses the animations of its style sheets, and gets others when it is shown. The runtime goes on to
// set the time of those that it has found, which would bring them back beside the new ones.
const currentTime = Object.getOwnPropertyDescriptor(Animation.prototype, "currentTime");
Object.defineProperty(CSSAnimation.prototype, "currentTime", {
  ...currentTime,
  set(time) {
    if (this.playState !== "idle") currentTime.set.call(this, time);
  },
});
CSSAnimation.prototype.pause = function () {
  if (this.playState !== "idle") Animation.prototype.pause.call(this);
};

window.__HF_VIRTUAL_TIME__ = {
  originalSetTimeout: original.setTimeout,
  originalClearTimeout: original.clearTimeout,
  originalSetInterval: original.setInterval,
  originalClearInterval: original.clearInterval,
  originalRequestAnimationFrame: original.requestAnimationFrame,
  originalCancelAnimationFrame: original.cancelAnimationFrame,
  getTime: () => now,
  // Moves this document to a time in milliseconds and runs the animation-frame callbacks queued so far, once.
  seekToTime(ms) {
    now = ms;
    reseed(ms);
    const due = callbacks;
    callbacks = new Map();
    for (const callback of due.values()) {
      try {
        callback(ms);
      } catch (error) {
        original.setTimeout(() => { throw error; });
      }
    }
  },
};

window.__HF_RENDER_CAPTURE_MODE = true;
