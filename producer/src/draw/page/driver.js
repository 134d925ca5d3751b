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

const seekDocuments = (frame, ms) => {
  frame.__HF_VIRTUAL_TIME__?.seekToTime(ms);
  for (let i = 0; i < frame.frames.length; i++) {
    try {
      seekDocuments(frame.frames[i], ms);
    } catch {
      // A document of another origin: it was never allowed to load.
    }
  }
};

const positive = (value) => (Number.isFinite(value) && value > 0 ? value : 0);
window.__hf = {
  get duration() {
    if (window.__hfTimelinesBuilding || !window.__renderReady) return 0;
    return positive(player()?.getDuration?.()) || positive(Number(root()?.dataset.duration));
  },
  seek(time, options) {
    player().renderSeek(time, options);
    seekDocuments(window, time * 1000);
  },
};

const missingTimelines = () =>
  Array.from(document.querySelectorAll("[data-composition-id]:not([data-no-timeline])"), (e) => e.dataset.compositionId)
    .filter((id) => !window.__timelines?.[id]);

const within = (ms, promise) =>
  Promise.race([promise, new Promise((resolve) => original.setTimeout(resolve, ms))]);

window.__hfProducer = {
  state: () => ({
    loaded: document.readyState === "complete",
    seekable: typeof player()?.renderSeek === "function" && !!window.__renderReady,
    duration: window.__hf.duration,
    missingTimelines: missingTimelines(),
  }),

  // Binds late timelines, loads every declared font face and decodes every image; then shows the first frame.
  async prepare() {
    window.__hfForceTimelineRebind?.();
    await this.settle(Array.from(document.fonts, (face) => face.load().catch(() => {})));
    await this.seek(0);
  },

  // Everything that is loading has arrived and can be drawn.
  async settle(more = []) {
    const images = Array.from(document.images, (image) => image.decode().catch(() => {}));
    await within(10_000, Promise.all([document.fonts.ready, ...images, ...more]));
  },

  async seek(time) {
    window.__hf.seek(time);
    await window.__hfWaitForSeekCompletion?.();
  },
};
