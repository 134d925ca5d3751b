// Planning only: which scripts go on from frame to frame, by their addresses, and the line where each first says so; an empty address
// for one that has none.
const steppers = new Map();
const PLACE = /(https?:\/\/[^\s()]+):(\d{1,9}):\d+/;
const noteStepper = () => {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 50;
  // What a stack is may be the page's own idea.
  const [, address = "", line = 0] = String(new Error().stack).match(PLACE) ?? [];
  if (!steppers.has(address)) steppers.set(address, Number(line));
  Error.stackTraceLimit = stackTraceLimit;
};
for (const name of ["requestAnimationFrame", "setTimeout", "setInterval"]) {
  const ask = window[name];
  window[name] = (...values) => {
    // What a page asks for once, while it loads, comes to an end.
    if (!loading || name === "setInterval") noteStepper();
    return ask(...values);
  };
}
// What is called with every frame may go on from what it did before: where it counts, and where it has something else do what it
// does not say itself.
const COUNTS = /\+\+|(?<!["'`])--|[-+*/%]=/;
const CALLED = /(?<![\w$])([\w$]+)\s*(?:\?\.)?\(/g;
const PLAIN = new Set(
  `if for while switch function return typeof Number String Boolean parseInt parseFloat abs ceil floor round trunc sign min max pow sqrt hypot
  sin cos tan atan2 exp log PI toFixed toPrecision toString toLocaleString format padStart padEnd slice substring split join map filter forEach
  repeat replace concat charAt includes indexOf toUpperCase toLowerCase querySelector querySelectorAll getElementById targets time totalTime
  progress totalProgress duration isActive setAttribute setAttributeNS setProperty getAttribute toggle render set clamp interpolate mapRange
  getPointAtLength getTotalLength setUniform`.split(/\s+/),
);
const HEAD = /^[^{=]*(=>|\{)/;
const doesMore = (text) => Array.from(text.replace(HEAD, "").matchAll(CALLED)).some(([, name]) => !PLAIN.has(name));
const mayAddUp = (callback) => typeof callback === "function" && (COUNTS.test(callback) || doesMore(String(callback)));
// So does what waits for an animation to end.
const ENDS = ["transitionend", "transitioncancel", "animationend", "animationiteration"];
const { addEventListener } = EventTarget.prototype;
EventTarget.prototype.addEventListener = function (...options) {
  if (ENDS.includes(options[0]) || (options[0] === "hf-seek" && mayAddUp(options[1]))) noteStepper();
  return Reflect.apply(addEventListener, this, options);
};
// And what is told of other elements, and what workers answer.
const noteMade = (name, goesOn) => {
  window[name] = new Proxy(window[name], {
    construct(target, options, made) {
      if (goesOn(options[0])) noteStepper();
      return Reflect.construct(target, options, made);
    },
  });
};
for (const name of ["MutationObserver", "ResizeObserver", "IntersectionObserver"]) noteMade(name, mayAddUp);
noteMade("Worker", () => true);
const { define } = CustomElementRegistry.prototype;
CustomElementRegistry.prototype.define = function (...options) {
  if (mayAddUp(options[1]?.prototype?.attributeChangedCallback)) noteStepper();
  return Reflect.apply(define, this, options);
};
// A smooth scroll goes on by itself from where it was.
const isSmooth = (element, asked = "auto") => (asked === "auto" ? getComputedStyle(element).scrollBehavior : asked) === "smooth";
for (const { prototype } of [Element, Window]) {
  for (const name of ["scroll", "scrollTo", "scrollBy", "scrollIntoView"]) {
    const scroll = prototype[name];
    if (!scroll) continue;
    prototype[name] = function (...options) {
      const element = this instanceof Element ? this : document.documentElement;
      if (isSmooth(element, options[0]?.behavior)) steppers.set("", 0);
      return Reflect.apply(scroll, this, options);
    };
  }
}
window.__hfSteppers = () => Array.from(steppers);
