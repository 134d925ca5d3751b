// Planning only: what the page uses that cannot be drawn rightly.
const seen = new Map();
const plainFillText = window.CanvasRenderingContext2D.prototype.fillText;
for (const method of ["fillText", "strokeText"]) {
  const context = window.CanvasRenderingContext2D.prototype;
  const draw = context[method];
  context[method] = function (text, ...rest) {
    note(this.font, String(text), "a canvas");
    return draw.call(this, text, ...rest);
  };
}

// Text per font, as CSS shorthand, with the first place it was seen at.
const note = (font, text, place) => {
  const entry = seen.get(font) ?? { characters: new Set(), place };
  for (const character of text) entry.characters.add(character);
  seen.set(font, entry);
};

const place = (element) => {
  const name = element.localName + (element.id ? `#${element.id}` : "");
  return `<${name}${element.classList.length ? "." + Array.from(element.classList).join(".") : ""}>`;
};

const noteDocument = (root) => {
  for (const element of root.querySelectorAll("*")) {
    if (/^(script|style|template|title|noscript|head|meta|link)$/.test(element.localName)) continue;
    const own = Array.from(element.childNodes).filter((n) => n.nodeType === 3).map((n) => n.data).join("");
    const style = getComputedStyle(element);
    const font = (s) => `${s.fontStyle} ${s.fontWeight} 32px ${s.fontFamily}`;
    if (own.trim()) note(font(style), transformed(own, style.textTransform), place(element));
    for (const pseudo of ["::before", "::after"]) {
      const generated = getComputedStyle(element, pseudo);
      const quoted = /^"(.*)"$/s.exec(generated.content);
      if (quoted) note(font(generated), quoted[1], place(element) + pseudo);
    }
    if (element.shadowRoot) noteDocument(element.shadowRoot);
  }
};

const transformed = (text, how) => (how === "uppercase" ? text.toUpperCase() : how === "lowercase" ? text.toLowerCase() : text);

// No system font exists in this browser, so a character without a glyph draws what a noncharacter draws.
const invisible = /^[\p{White_Space}\p{Cc}\p{Cf}\p{Mn}\p{Me}]$/u;
const picture = (context, font, character) => {
  context.clearRect(0, 0, 64, 64);
  context.font = font;
  plainFillText.call(context, character, 8, 44);
  return context.getImageData(0, 0, 64, 64).data.join();
};

Object.assign(window.__hfProducer, {
  note: () => noteDocument(document),

  // Characters no declared font has: [{font, place, characters}].
  async missingGlyphs() {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 64;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    const missing = [];
    for (const [font, { characters, place }] of Array.from(seen)) {
      const visible = Array.from(characters).filter((character) => !invisible.test(character));
      await within(10_000, document.fonts.load(font, visible.join("")).catch(() => {}));
      const nothing = picture(context, font, "\u{10FFFF}");
      const lost = visible.filter((character) => picture(context, font, character) === nothing);
      if (lost.length) missing.push({ font, place, characters: lost.join("") });
    }
    return missing;
  },

  families: () => Array.from(document.fonts, (face) => face.family.replace(/^["']|["']$/g, "")),

  // Features that would be drawn wrongly, in words.
  unsupported() {
    const found = [];
    const look = (selector, words) => {
      const element = document.querySelector(selector);
      if (element) found.push(`${words} (${place(element)})`);
    };
    look("video, audio", "media elements");
    look("[data-composition-src]", "sub-compositions");
    look("[data-color-grading]", "colour grading");
    if (window.__hf.transitions?.length) found.push("shader transitions");
    return found;
  },
});
