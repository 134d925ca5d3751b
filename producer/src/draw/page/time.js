// Virtual time for one document: everything a page can read the clock or chance from follows the frame being drawn.
// Object shape and semantics are the published runtime's `__HF_VIRTUAL_TIME__`.
const original = {
  setTimeout: window.setTimeout.bind(window),
  clearTimeout: window.clearTimeout.bind(window),
  setInterval: window.setInterval.bind(window),
  clearInterval: window.clearInterval.bind(window),
  requestAnimationFrame: window.requestAnimationFrame.bind(window),
  cancelAnimationFrame: window.cancelAnimationFrame.bind(window),
  fetch: window.fetch.bind(window),
  now: performance.now.bind(performance),
  randomUUID: crypto.randomUUID.bind(crypto),
};
let now = 0;

// The browser does not tell of their requests: whether they have finished could not be known.
delete window.SharedWorker;

// What a worker draws follows the real clock. Libraries that find no such canvas draw in the page.
delete HTMLCanvasElement.prototype.transferControlToOffscreen;

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
Object.defineProperty(performance, "timeOrigin", { get: () => 0 });
Object.defineProperty(Event.prototype, "timeStamp", { get: () => now });
Object.defineProperty(Document.prototype, "lastModified", { get: () => "01/01/1970 00:00:00" });
// What the browser has measured itself is of the real clock.
for (const entries of ["getEntries", "getEntriesByName", "getEntriesByType"]) performance[entries] = () => [];
const intl = Intl.DateTimeFormat.prototype;
const { get: formatter } = Object.getOwnPropertyDescriptor(intl, "format");
Object.defineProperty(intl, "format", {
  get() {
    const format = formatter.call(this);
    return (date) => format(date ?? now);
  },
});
const { formatToParts } = intl;
intl.formatToParts = function (date) {
  return formatToParts.call(this, date ?? now);
};

// What else differs from one machine to the next.
for (const [name, value] of [["hardwareConcurrency", 8], ["deviceMemory", 8]])
  Object.defineProperty(Navigator.prototype, name, { get: () => value });

// Of each callback, the time in whose callbacks it was asked for, if it was: it is for a later time.
let nextCallback = 1;
const callbacks = new Map();
let drawing = null;
window.requestAnimationFrame = (callback) => {
  callbacks.set(nextCallback, { callback, askedAt: drawing });
  return nextCallback++;
};
window.cancelAnimationFrame = (id) => callbacks.delete(id);

// When scripts began animations, in seconds.
const made = new WeakMap();
const { animate } = Element.prototype;
Element.prototype.animate = function (...options) {
  const animation = animate.apply(this, options);
  made.set(animation, now / 1000);
  return animation;
};

// Shadow trees have animations of their own, and closed ones are otherwise out of reach.
const shadowRoots = [];
const attachShadow = Element.prototype.attachShadow;
Element.prototype.attachShadow = function (...options) {
  const root = attachShadow.apply(this, options);
  shadowRoots.push(new WeakRef(root));
  return root;
};

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
// set the time of those that it has found, which would bring them back beside the new ones. What follows a scroll has no time.
const hasTime = (animation) =>
  !(animation.timeline instanceof ScrollTimeline) && !(animation instanceof CSSAnimation && animation.playState === "idle");
const currentTime = Object.getOwnPropertyDescriptor(Animation.prototype, "currentTime");
Object.defineProperty(Animation.prototype, "currentTime", {
  ...currentTime,
  set(time) {
    if (hasTime(this)) currentTime.set.call(this, time);
  },
});
const { pause } = Animation.prototype;
Animation.prototype.pause = function () {
  if (hasTime(this)) pause.call(this);
};

// Timers follow the frame's time from the first seek on, and run in the order in which they are due. Until then loading may wait
// for short ones, which run on the real clock once everything has come and the page still lacks something: else it is prepared at
// once. Long ones wait for the video's time even so, unless loading takes very long. One of next to no delay is no clock but a step
// aside, and always real. What repeats is patient too, if less: much is ready without it. The video's time counts what ran on the
// real clock as run when it was due, and as what it asked for in turn.
const ASIDE = 5;
const LACKS = 100;
const SHORT = 250;
const PATIENCE = 1500;
const REPEATS_PATIENCE = 500;
const MOST_RUNS = 100000;
let loading = true;
let nextTimer = 1;
const timers = new Map();
// When the timer that runs was due.
let running = null;

const run = ({ callback, values }) => {
  try {
    if (typeof callback === "function") callback(...values);
    else (0, eval)(String(callback));
  } catch (error) {
    original.setTimeout(() => { throw error; });
  }
};
const runReally = (id, timer, delay) => {
  timer.handle = original.setTimeout(() => {
    running = timer.aside ? null : timer.due;
    if (timer.every) {
      timer.due += timer.every;
      runReally(id, timer, timer.every);
    } else timers.delete(id);
    run(timer);
    running = null;
  }, delay);
};
const addTimer = (callback, delay, values, repeats) => {
  const id = nextTimer++;
  const wait = Math.max(0, Number(delay) || 0);
  const every = repeats ? Math.max(wait, ASIDE) : 0;
  const timer = { due: (running ?? now) + (every || wait), every, wait, aside: !repeats && wait < ASIDE, callback, values };
  timer.at = original.now() + wait + (wait >= SHORT ? PATIENCE : repeats ? REPEATS_PATIENCE : 0);
  timers.set(id, timer);
  if (timer.aside) runReally(id, timer, wait);
  else if (loading && lacks) startReally([id, timer]);
  return id;
};
const startReally = ([id, timer]) => runReally(id, timer, Math.max(0, timer.at - original.now()));
// Whether this document still lacks something; then the timers that have waited for that run in their order.
let lacks = false;
const lookWhatLacks = () => {
  if (!loading) return;
  if (document.readyState !== "complete") return void original.setTimeout(lookWhatLacks, ASIDE);
  original.setTimeout(() => {
    lacks = true;
    if (loading) Array.from(timers).filter(([, { aside }]) => !aside).sort(([, a], [, b]) => a.at - b.at).forEach(startReally);
  }, LACKS);
};
original.setTimeout(lookWhatLacks, ASIDE);
window.setTimeout = (callback, delay, ...values) => addTimer(callback, delay, values, false);
window.setInterval = (callback, delay, ...values) => addTimer(callback, delay, values, true);
window.clearTimeout = window.clearInterval = (id) => {
  original.clearTimeout(timers.get(id)?.handle);
  timers.delete(id);
};
window.requestIdleCallback = (callback) =>
  addTimer(() => callback({ didTimeout: false, timeRemaining: () => 50 }), 0, [], false);
window.cancelIdleCallback = window.clearTimeout;

const endLoading = () => {
  if (!loading) return;
  loading = false;
  for (const timer of timers.values()) if (!timer.aside) original.clearTimeout(timer.handle);
};
const earliest = (until) => {
  let first;
  for (const entry of timers) {
    const { aside, due } = entry[1];
    if (!aside && due <= until && !(first?.[1].due <= due)) first = entry;
  }
  return first;
};
const runTimers = (until) => {
  for (let runs = 0, next; runs < MOST_RUNS && (next = earliest(until)); runs++) {
    const [id, timer] = next;
    now = Math.max(now, timer.due);
    reseed(now);
    if (timer.every) timer.due += timer.every;
    else timers.delete(id);
    run(timer);
  }
};

// Waits for steps aside: scripts take them before a browser shows the next frame. Some go on without end.
const MOST_STEPS = 4;
let messages = 0;
const { postMessage } = MessagePort.prototype;
MessagePort.prototype.postMessage = function (...options) {
  messages++;
  return Reflect.apply(postMessage, this, options);
};
const takeSteps = async () => {
  for (let steps = 0; steps < MOST_STEPS; steps++) {
    let longest = messages ? 0 : -1;
    for (const { aside, wait } of timers.values()) if (aside) longest = Math.max(longest, wait);
    if (longest < 0) return;
    messages = 0;
    await new Promise((done) => original.setTimeout(done, longest));
  }
};

// What is told of intersections comes after a frame was drawn, and before the next is asked for.
let observes = false;
const { observe } = IntersectionObserver.prototype;
IntersectionObserver.prototype.observe = function (...options) {
  observes = true;
  return Reflect.apply(observe, this, options);
};

const drawCallbacks = (isDue) => {
  const due = Array.from(callbacks).filter(([, asked]) => isDue(asked));
  for (const [id] of due) callbacks.delete(id);
  drawing = now;
  for (const [, { callback }] of due) {
    try {
      callback(now);
    } catch (error) {
      original.setTimeout(() => { throw error; });
    }
  }
  drawing = null;
};

window.__HF_VIRTUAL_TIME__ = {
  originalSetTimeout: original.setTimeout,
  originalClearTimeout: original.clearTimeout,
  originalSetInterval: original.setInterval,
  originalClearInterval: original.clearInterval,
  originalRequestAnimationFrame: original.requestAnimationFrame,
  originalCancelAnimationFrame: original.cancelAnimationFrame,
  getTime: () => now,
  takeSteps,
  hearWorkers,
  hearOfIntersections: () => observes && new Promise((done) => original.setTimeout(done, 1)),
  madeAt: (animation) => made.get(animation) ?? 0,
  // This document and the shadow trees in it that a script has made.
  trees: () => [document, ...shadowRoots.map((root) => root.deref()).filter((root) => root?.isConnected)],
  // Runs the animation-frame callbacks queued so far, once; of a loop those too that have run at this time.
  drawAgain() {
    drawCallbacks(() => true);
  },
  // Moves this document to a time in milliseconds, runs the timers that are due until then, and draws: what goes on from one time to
  // the next only once at the same one, unless asked to.
  seekToTime(ms, again = false) {
    endLoading();
    runTimers(ms);
    now = ms;
    reseed(ms);
    drawCallbacks(({ askedAt }) => again || askedAt !== ms);
  },
};

window.__HF_RENDER_CAPTURE_MODE = true;
