// Planning only: whose scripts go on from frame to frame, by their addresses; none for one that has none.
const steppers = new Set();
const ADDRESS = /(https?:\/\/[^\s()]+):\d+:\d+/;
const noteStepper = () => {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 50;
  steppers.add(new Error().stack.match(ADDRESS)?.[1] ?? "");
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
window.__hfSteppers = () => Array.from(steppers);
