// Planning only: text on canvases cannot be asked for its fonts, so the same text is put into the document once.
const canvasTexts = new Map();
// Canvases that show text in a fallback, because its font had not loaded when it was drawn: the font.
const earlyTexts = new Map();
for (const context of [window.CanvasRenderingContext2D, window.OffscreenCanvasRenderingContext2D]) {
  if (!context) continue;
  for (const method of ["fillText", "strokeText"]) {
    const draw = context.prototype[method];
    context.prototype[method] = function (text, ...rest) {
      if (document.fonts.check(this.font, String(text))) earlyTexts.delete(this.canvas);
      else earlyTexts.set(this.canvas, this.font);
      const characters = canvasTexts.get(this.font) ?? new Set();
      canvasTexts.set(this.font, characters);
      if (characters.size < 4096) for (const character of String(text)) characters.add(character);
      return draw.call(this, text, ...rest);
    };
  }
}
window.__hfEarlyCanvasTexts = () => new Set(earlyTexts.values());
window.__hfShowCanvasTexts = () => {
  for (const [font, characters] of canvasTexts) {
    const copy = document.createElement("span");
    copy.style.cssText = "all:initial;position:fixed;left:0;top:0";
    copy.style.font = font;
    copy.textContent = Array.from(characters).join("");
    document.documentElement.append(copy);
  }
};
