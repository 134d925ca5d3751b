// GSAP finds a tween's values, and makes its calls, in the first frame that renders it, and renders what has ended once. Where that
// depends on what else has been done by then, a frame is another one without those before it in which something begins or ends.
const CALLS = ["onStart", "onComplete", "onRepeat", "onReverseComplete"];
const NO_VALUES = [...CALLS, "onUpdate", "onInterrupt", "ease", "easeEach", "yoyoEase", "stagger", "modifiers", "snap"];
const FRACTION = 1e-3;

// Whether a value is found by a script or by chance when a tween begins. Those of keyframes are values within values.
const DEEPEST = 3;
const isFound = (value, depth = 0) => {
  if (typeof value === "function") return true;
  if (typeof value === "string") return value.includes("random(");
  const holdsValues = Array.isArray(value) || (value && Object.getPrototypeOf(value) === Object.prototype);
  if (!holdsValues || depth > DEEPEST) return false;
  return Object.entries(value).some(([name, inner]) => !NO_VALUES.includes(name) && isFound(inner, depth + 1));
};

// An ease by its name that is another one each time it is made.
const isByChance = (ease) => typeof ease === "string" && /rough/i.test(ease);

// Timelines may be of other libraries.
const isAnimation = (animation) => animation?.vars && typeof animation.totalDuration === "function";
// What lies in a timeline, or in a tween of keyframes or of targets one after the other, in the order in which it is rendered.
const partsOf = (animation) => {
  const timeline = animation.getChildren ? animation : animation.timeline;
  return timeline ? timeline.getChildren(false, true, true).filter(isAnimation) : [];
};
const targetsOf = (animation) => animation.targets?.() ?? [];
const withParts = (animations) => animations.flatMap((animation) => [animation, ...withParts(partsOf(animation))]);

// Timelines that lie in no other, and what seconds of what they lie in are of the video.
const outerTimelines = () => {
  const all = new Set(Object.values(window.__timelines ?? {}));
  const isInside = ({ parent }) => parent && (all.has(parent) || isInside(parent));
  // What lies in none follows the page's time.
  const loose = isAnimation(window.gsap?.globalTimeline) ? partsOf(window.gsap.globalTimeline) : [];
  const others = loose.filter((animation) => !all.has(animation)).map((timeline) => ({ timeline, place: (seconds) => seconds }));
  return Object.entries(window.__timelines ?? {})
    .filter(([, timeline]) => isAnimation(timeline) && timeline.getChildren && !isInside(timeline))
    .map(([id, timeline]) => {
      const host = document.querySelector(`[data-composition-id="${CSS.escape(id)}"]`);
      const origin = host && host !== root() ? originOf(host) : 0;
      // The runtime moves it in its own seconds, wherever it began.
      const place = (seconds) => origin + (seconds - timeline.startTime()) * (Math.abs(timeline.timeScale()) || 1);
      return { timeline, place };
    })
    .concat(others);
};
const allAnimations = (outer = outerTimelines()) => withParts(outer.map(({ timeline }) => timeline));
// What seconds of what lies in an animation are of the video.
const placeIn = (animation, place) => {
  const speed = Math.abs(animation.timeScale()) || 1;
  return (seconds) => place(animation.startTime() + seconds / speed);
};

// When targets are moved, from the first time to the last; `contested` gets those that are not moved one after the other in the order of
// rendering.
const spansOf = (parts, place, contested) => {
  const spans = new Map();
  const add = (target, start, end) => {
    const before = spans.get(target);
    if (before && start < before.end - FRACTION) contested.add(target);
    spans.set(target, { start: Math.min(start, before?.start ?? start), end: Math.max(end, before?.end ?? end) });
  };
  for (const part of parts) {
    const inside = placeIn(part, place);
    const [start, end] = [inside(0), inside(part.totalDuration())];
    // Keyframes of several properties are moved side by side.
    const parts = part.vars.keyframes ? [] : partsOf(part);
    for (const [target, span] of spansOf(parts, inside, contested)) {
      if (part.repeat()) add(target, start, end);
      else add(target, span.start, span.end);
    }
    // One that only says where it comes from has found the rest when it was made.
    const found = part.vars.runBackwards ? -Infinity : start;
    if (!parts.length) targetsOf(part).forEach((target) => add(target, found, end));
  }
  return spans;
};

// Animations of which it matters in which frames they begin and end, and those that they lie in.
const whatMatters = (outer) => {
  const contested = new Set();
  const moved = new Set();
  for (const { timeline, place } of outer) {
    for (const target of spansOf([timeline], place, contested).keys()) {
      if (moved.has(target)) contested.add(target);
      moved.add(target);
    }
  }
  const matters = new Set();
  for (const animation of allAnimations(outer)) {
    const { vars } = animation;
    const isSensitive = vars.repeatRefresh || isByChance(vars.ease) || CALLS.some((name) => vars[name]) || isFound(vars) || targetsOf(animation).some(isAnimation);
    if (!isSensitive && !targetsOf(animation).some((target) => contested.has(target))) continue;
    for (let holder = animation; holder && !matters.has(holder); holder = holder.parent) matters.add(holder);
  }
  return matters;
};

// A browser keeps edges and letters that were scaled or turned where it drew them last, between pixels: of each element it matters what
// did so last before a time. Adds when that began and ended, and is half done, by target.
const TURNS = /^(scale|rotat|skew|transform)/;
const isGone = (target, time) => {
  const clip = target.closest("[data-start]");
  const lasts = clip && positive(number(clip.dataset.duration ?? clip.dataset.hfAuthoredDuration));
  return lasts > 0 && startOf(clip) + lasts <= time;
};
const addLastTurns = (animations, place, time, last) => {
  for (const part of animations) {
    const inside = placeIn(part, place);
    const lasts = part.duration();
    const every = lasts + part.repeatDelay();
    const begun = (time - inside(0)) / (inside(1) - inside(0));
    const most = part.repeat() < 0 ? Infinity : part.repeat();
    const shift = every > 0 ? every * Math.max(0, Math.min(most, Math.floor(begun / every))) : 0;
    const parts = partsOf(part);
    addLastTurns(parts, (seconds) => inside(shift + seconds), time, last);
    if (parts.length || !Object.keys(part.vars).some((name) => TURNS.test(name))) continue;
    const [begins, half, stops] = [0, lasts / 2, lasts].map((seconds) => inside(shift + seconds));
    for (const target of targetsOf(part).filter((target) => target instanceof Element)) {
      if (begins < time && !(last.get(target)?.at(-1) > stops) && !isGone(target, time)) last.set(target, [begins, half, stops]);
    }
  }
};

// The frames from one to before another in which something begins or ends that matters, in order.
const momentsIn = (first, end) => {
  const frames = new Set();
  const outer = outerTimelines();
  const matters = whatMatters(outer);
  const add = (seconds) => {
    for (const inexact of [-FRACTION, FRACTION]) {
      const next = Math.ceil(seconds * config.fps + inexact);
      for (const frame of [next - 1, next]) if (first <= frame && frame < end) frames.add(frame);
    }
  };
  const visit = (animation, place) => {
    if (!matters.has(animation)) return;
    const inside = placeIn(animation, place);
    const lasts = animation.duration();
    const every = lasts + animation.repeatDelay();
    const times = every > 0 && animation.repeat() ? (animation.repeat() < 0 ? Infinity : animation.repeat() + 1) : 1;
    for (let turn = 0; turn < times && frames.size < end - first; turn++) {
      const [begins, stops] = [turn * every, turn * every + lasts];
      if (times === Infinity && inside(begins) * config.fps > end) break;
      add(inside(begins));
      add(inside(stops));
      // Where these are depends on how they are eased.
      const isEased = animation.vars.keyframes || targetsOf(animation).some(isAnimation);
      for (let seconds = begins; isEased && seconds < stops; seconds += 1 / config.fps) add(inside(seconds));
      const isBack = animation.yoyo() && turn % 2;
      for (const part of partsOf(animation)) visit(part, (seconds) => inside(isBack ? stops - seconds : begins + seconds));
    }
  };
  for (const { timeline, place } of outer) visit(timeline, place);
  const last = new Map();
  for (const { timeline, place } of outer) addLastTurns([timeline], place, end / config.fps, last);
  Array.from(last.values()).flat().forEach(add);
  return Array.from(frames).sort((a, b) => a - b);
};

// A transition of what a tween moves would follow it late, and from wherever it was then: what is tweened is moved by the tween alone.
const SHIFTS = /^([xyz]|[xy]Percent|motionPath)$/;
const propertyOf = (name) => {
  if (name === "autoAlpha") return ["opacity", "visibility"];
  if (SHIFTS.test(name) || TURNS.test(name)) return ["transform", "translate", "rotate", "scale"];
  return [name.startsWith("--") ? name : name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)];
};
const takeTransitionsAway = () => {
  const tweened = new Map();
  for (const animation of allAnimations()) {
    const names = Object.keys(animation.vars).filter((name) => !NO_VALUES.includes(name)).flatMap(propertyOf);
    for (const target of targetsOf(animation)) {
      if (!(target instanceof Element)) continue;
      if (!tweened.has(target)) tweened.set(target, new Set());
      names.forEach((name) => tweened.get(target).add(name));
    }
  }
  // All is read before any of it is written: a browser works out styles anew in between.
  const taken = Array.from(tweened).flatMap(([target, names]) => {
    const { transition, transitionProperty, transitionDuration } = getComputedStyle(target);
    const properties = transitionProperty.split(", ");
    const moved = Array.from(names).filter((name) => CSS.supports(name, "inherit") && (properties.includes("all") || properties.includes(name)));
    return moved.length && /[1-9]/.test(transitionDuration) ? [{ target, transition, moved }] : [];
  });
  for (const { target, transition, moved } of taken) target.style.transition = `${transition}, ${moved.map((name) => `${name} 0s`).join(", ")}`;
  if (!taken.length) return;
  const movedOf = new Map(taken.map(({ target, moved }) => [target, moved]));
  for (const animation of document.getAnimations()) if (movedOf.get(animation.effect?.target)?.includes(animation.transitionProperty)) animation.cancel();
};
