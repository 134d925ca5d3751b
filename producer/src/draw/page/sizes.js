// The runtime has clips without a size fill the composition. It looks while the document loads, and whether an image has
// arrived by then is chance: until all have, it sees a size where there will be one.
const computedStyle = window.getComputedStyle.bind(window);
const awaitsImages = (element) =>
  document.readyState !== "complete" && element.hasAttribute("data-start") && (element.localName === "img" || element.querySelector("img"));
window.getComputedStyle = (element, ...rest) => {
  const style = computedStyle(element, ...rest);
  if (!awaitsImages(element)) return style;
  const get = (target, name) => {
    const value = target[name];
    if (["width", "height"].includes(name) && value === "0px") return "1px";
    return typeof value === "function" ? value.bind(target) : value;
  };
  return new Proxy(style, { get });
};
