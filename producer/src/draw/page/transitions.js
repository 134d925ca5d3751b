// Shader transitions: the published library blends two scenes with WebGL, out of copies of them that a canvas draws. It says when a
// seek has come into a transition, makes the copies when it is asked to, and blends what has been drawn of them.
window.__HF_PAGE_SIDE_COMPOSITING__ = true;

// It takes part in every seek, as soon as a timer of its own finds out that there is one.
const ownSeek = window.__hf.seek;
const blends = () => typeof window.__hf_page_composite_prepare === "function";
const joined = () => !blends() || window.__hf.seek !== ownSeek;

const inCanvases = () => Array.from(document.querySelectorAll("canvas[layoutsubtree] > *"));
let copies = [];
const removeCopies = () => {
  copies.forEach((copy) => copy.remove());
  copies = [];
};
// Gives a copy what cloning leaves out: what its canvases show, which only comes along as an image.
const complete = async (copy) => {
  const canvases = document.getElementById(copy.id).querySelectorAll("canvas");
  const images = Array.from(copy.querySelectorAll("canvas"), (canvas, i) => {
    const image = Object.assign(new Image(), { src: canvases[i].toDataURL() });
    canvas.style.background = `url(${image.src}) content-box 0 0 / 100% 100% no-repeat`;
    return image;
  });
  await Promise.all([...images, ...copy.querySelectorAll("img")].map((image) => image.decode().catch(() => {})));
};

Object.assign(window.__hfProducer, {
  // Copies the scenes of a transition at a time. A frame has to be drawn before they can be blended.
  async copyScenes(time) {
    const before = new Set(inCanvases());
    await window.__hf_page_composite_prepare();
    copies = inCanvases().filter((element) => !before.has(element));
    seekAnimations(time);
    await Promise.all(copies.map(complete));
  },

  // Whether it could be done.
  blendScenes: () => window.__hf_page_composite_resolve(),
});
