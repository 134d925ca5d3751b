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
// What is called with every frame may go on from what it did before.
const mayAddUp = (callback) => typeof callback === "function" && /\+\+|--|[-+*/%]=|\.push\(/.test(callback);
// So does what waits for an animation to end.
const ENDS = ["transitionend", "transitioncancel", "animationend", "animationiteration"];
const { addEventListener } = EventTarget.prototype;
EventTarget.prototype.addEventListener = function (...options) {
  if (ENDS.includes(options[0]) || (options[0] === "hf-seek" && mayAddUp(options[1]))) noteStepper();
  return Reflect.apply(addEventListener, this, options);
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
