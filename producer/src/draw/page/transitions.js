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

const pictureOfCanvas = (canvas) => {
  try {
    return canvas.toDataURL();
  } catch {
    // It has taken something that scripts may not read.
    return "data:,";
  }
};
// Gives a copy what cloning leaves out: what its canvases show, which only comes along as an image, and images that load when they
// come into view, which a copy never does.
const complete = async (copy) => {
  const canvases = document.getElementById(copy.id).querySelectorAll("canvas");
  const images = Array.from(copy.querySelectorAll("canvas"), (canvas, i) => {
    const image = Object.assign(new Image(), { src: pictureOfCanvas(canvases[i]) });
    canvas.style.background = `url(${image.src}) content-box 0 0 / 100% 100% no-repeat`;
    return image;
  });
  const shown = Array.from(copy.querySelectorAll("img"), (image) => Object.assign(image, { loading: "eager" }));
  await Promise.all([...images, ...shown].map((image) => image.decode().catch(() => {})));
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

  // Whether it could be done. The canvases that have drawn the copies lie behind the composition, which may be transparent.
  blendScenes() {
    const blended = window.__hf_page_composite_resolve();
    for (const { parentElement: canvas } of copies) canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
    return blended;
  },
});
