// What scripts find in newer runtimes than this one: addresses beside the file of a composition, and frame sources, elements that a
// script draws for the time of each frame.
const sources = new Map();
const registerFrameSource = ({ element, ready, render, sourceRange, dispose }) => {
  if (sources.has(element)) throw new Error("This element already has a frame source");
  const controller = new AbortController();
  const source = { ready: Promise.resolve(ready), render, sourceRange, signal: controller.signal };
  sources.set(element, source);
  window.__hf.buildReady = { ...window.__hf.buildReady, [`a frame source (${sources.size})`]: source.ready };
  source.dispose = () => {
    if (controller.signal.aborted) return;
    controller.abort();
    sources.delete(element);
    dispose?.();
  };
  return source.dispose;
};
// Has those draw that are shown at a time in seconds.
const drawSources = (time) =>
  Promise.all(Array.from(sources, async ([element, source]) => {
    if (!element.isConnected) return source.dispose();
    const { start, duration, mediaStart, playbackRate } = element.dataset;
    const since = time - (start === undefined ? shownAt(element) : startOf(element));
    if (since < 0 || since >= (Number.parseFloat(duration) || Infinity)) return;
    const played = (Number.parseFloat(mediaStart) || 0) + since * (Number.parseFloat(playbackRate) || 1);
    const range = source.sourceRange;
    const at = range ? range.start + Math.min(played, Math.max(0, range.duration - 1 / range.fps)) : played;
    try {
      await source.ready;
      await source.render(at, source.signal);
    } catch (error) {
      original.setTimeout(() => { throw error; });
    }
  }));
const offers = { assetUrl: (path) => new URL(path, document.baseURI).href, registerFrameSource };
let hyperframes;
Object.defineProperty(window, "__hyperframes", {
  configurable: true,
  enumerable: true,
  get: () => hyperframes,
  set: (value) => (hyperframes = { ...offers, ...value }),
});
