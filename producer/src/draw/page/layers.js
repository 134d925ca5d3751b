// What the browser keeps of a layer from the frames before must not show in a frame.

// At the right and at the bottom of an opaque layer with text that lies between pixels, Chromium (156) leaves what its memory held before.
// A layer that is larger than what it shows is not opaque.
const BETWEEN_PIXELS = `[style*="translate3d("]:not([style*="scale("], [style*="rotate("], [style*="skew"])`;

// A layer of which it is told that its transform will change stays as sharp as it was, and as far from the pixels, when it was seen
// first. A path to move along takes the same part in the layout, and nothing is kept for it.
const MOVES = /^(transform|translate|scale|rotate|perspective)$/;
const PATH = "offset-path";
const movesNot = (properties) => properties.split(",").map((name) => (MOVES.test(name.trim()) ? PATH : name)).join(",");
const WILL_MOVE = ["", "opacity,", "opacity, "].flatMap((before) => [" ", ""].map((space) => `[style*="will-change:${space}${before}transform"]`));

const redeclare = (rules) => {
  for (const { style, cssRules, styleSheet } of rules) {
    const declared = style?.willChange;
    if (declared && movesNot(declared) !== declared) style.setProperty("will-change", movesNot(declared), style.getPropertyPriority("will-change"));
    if (cssRules) redeclare(cssRules);
    // What a sheet imports is not among the document's.
    if (styleSheet) redeclareSheet(styleSheet);
  }
};
const redeclareSheet = (sheet) => {
  try {
    redeclare(sheet.cssRules);
  } catch {
    // One of another origin keeps its rules to itself.
  }
};

const settleLayers = (frame) => {
  const sheet = new frame.CSSStyleSheet();
  sheet.replaceSync(`:where(${BETWEEN_PIXELS}) { outline: 1px solid transparent } ${WILL_MOVE} { will-change: ${PATH} !important }`);
  for (const tree of frame.__HF_VIRTUAL_TIME__?.trees() ?? [frame.document]) {
    [...tree.styleSheets, ...tree.adoptedStyleSheets].forEach(redeclareSheet);
    tree.adoptedStyleSheets.push(sheet);
  }
};
