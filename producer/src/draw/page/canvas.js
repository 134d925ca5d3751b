// Planning only: text on canvases cannot be asked for its fonts, so the same text is put into the document once.
const canvasTexts = new Map();
for (const context of [window.CanvasRenderingContext2D, window.OffscreenCanvasRenderingContext2D]) {
  if (!context) continue;
  for (const method of ["fillText", "strokeText"]) {
    const draw = context.prototype[method];
    context.prototype[method] = function (text, ...rest) {
      const characters = canvasTexts.get(this.font) ?? new Set();
      canvasTexts.set(this.font, characters);
      if (characters.size < 4096) for (const character of String(text)) characters.add(character);
      return draw.call(this, text, ...rest);
    };
  }
}
window.__hfShowCanvasTexts = () => {
  for (const [font, characters] of canvasTexts) {
    const copy = document.createElement("span");
    copy.style.cssText = "all:initial;position:fixed;left:0;top:0";
    copy.style.font = font;
    copy.textContent = Array.from(characters).join("");
    document.documentElement.append(copy);
  }
};
