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

Object.assign(window.__hfProducer, {
  // Puts a copy of all text that was drawn on canvases into the documents; the page is of no other use afterwards.
  showCanvasTexts: () => void inEveryDocument((frame) => frame.__hfShowCanvasTexts?.()),

  // Fonts of text on canvases that was drawn before they had loaded.
  earlyCanvasTexts: () =>
    Array.from(new Set(inEveryDocument((frame) => Array.from(frame.__hfEarlyCanvasTexts?.() ?? [])).flat())),

  families: () => Array.from(document.fonts, (face) => face.family.replace(/^["']|["']$/g, "").toLowerCase()),

  // Features that would be drawn wrongly, in words.
  unsupported() {
    const found = [];
    const look = (selector, words) => {
      const element = document.querySelector(selector);
      if (element) found.push(`${words} (${place(element)})`);
    };
    look("video, audio", "media elements");
    look("[data-composition-src]", "sub-compositions that a script adds");
    look("[data-color-grading]", "colour grading");
    return found;
  },

  // Whether scenes change through shaders. Without a compositor for them the library itself fades from one to the other.
  hasShaderTransitions: () => !!window.__hf.transitions?.length,
});
