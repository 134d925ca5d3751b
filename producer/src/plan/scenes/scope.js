// What the scripts of a sub-composition see as document, window, gsap and __hyperframes: the one instance they belong to.
window.__hfScene = ({ id, mounted, renamed, file }, script) => {
  const quoted = (value) => `"${value.replace(/["\\]/g, "\\$&")}"`;
  const host = `[data-composition-id=${quoted(mounted)}]`;

  // A selector as it means the same in the instance.
  const condition = /\[(?:"[^"]*"|'[^']*'|[^\]"'])*\]/.source;
  const own = /\[\s*data-composition-id\s*[\^*$]?=\s*(?:"([^"]*)"|'([^']*)'|([\w-]+))\s*\]/.source;
  const timing = /(?:\[\s*data-(?:start|duration)\s*=\s*(?:"[^"]*"|'[^']*')\s*\])*/.source;
  const pieces = new RegExp(`${timing}${own}${timing}|${condition}|"[^"]*"|'[^']*'|#((?:\\\\.|[\\w-]|[^\\x00-\\x7f])+)`, "g");
  const translated = (selector) =>
    selector.replace(pieces, (piece, ...groups) => {
      const hash = groups[3];
      if (hash !== undefined) {
        const name = hash.replace(/\\(.)/g, "$1");
        return renamed.includes(name) ? `[data-hf-authored-id=${quoted(name)}]` : piece;
      }
      const composition = groups[0] ?? groups[1] ?? groups[2];
      return composition === id ? host : piece;
    });

  let found = null;
  const root = () => (found ??= window.document.querySelector(host));
  const all = (selector) => {
    if (!root() || typeof selector !== "string") return window.document.querySelectorAll(selector);
    return Array.from(window.document.querySelectorAll(translated(selector))).filter((node) => root().contains(node));
  };
  const first = (selector) => all(selector)[0] ?? null;
  const byId = (wanted) => {
    const anywhere = window.document.getElementById(wanted);
    if (!root() || (anywhere && root().contains(anywhere))) return anywhere;
    if (root().id === String(wanted)) return root();
    const name = quoted(String(wanted));
    return root().querySelector(`[data-hf-authored-id=${name}]`) ?? root().querySelector(`[id=${name}]`);
  };

  const over = (target, properties, bound = () => true) =>
    new Proxy(target, {
      get: (_, name) => {
        if (Object.hasOwn(properties, name)) return properties[name];
        const value = Reflect.get(target, name, target);
        return typeof value === "function" && bound(value) ? value.bind(target) : value;
      },
      set: (_, name, value) => Reflect.set(target, name, value, target),
    });

  const scopedDocument = over(window.document, { querySelector: first, querySelectorAll: all, getElementById: byId });

  const targets = (target) => {
    if (typeof target === "string") return all(target);
    if (!Array.isArray(target)) return target;
    return target.flatMap((item) => (typeof item === "string" ? Array.from(all(item)) : [item]));
  };
  const tweens = (target) => {
    const scoped = ["to", "from", "fromTo", "set"].filter((name) => typeof target[name] === "function");
    return scoped.map((name) => [name, target[name].bind(target)]).map(([name, call]) => [
      name,
      (what, ...rest) => call(targets(what), ...rest),
    ]);
  };
  const scopedGsap = (gsap) => {
    const selector = (base) => {
      const within = (typeof base === "string" ? first(base) : base) ?? root();
      const inside = (node) => within === node || within?.contains?.(node);
      return (wanted) => (within && typeof wanted === "string" ? Array.from(all(wanted)).filter(inside) : []);
    };
    const toArray = (what, ...rest) => gsap.utils.toArray(targets(what), ...rest);
    const timeline = (...options) => {
      const made = gsap.timeline(...options);
      return Object.assign(made, Object.fromEntries(tweens(made)));
    };
    const utils = gsap.utils && over(gsap.utils, { toArray, selector });
    return over(gsap, { ...Object.fromEntries(tweens(gsap)), timeline, utils });
  };

  // The instance's timeline is known by its own id, and by the composition's until another has taken that.
  const timelines = () => {
    window.__timelines ??= {};
    if (id === mounted) return window.__timelines;
    return new Proxy(window.__timelines, {
      get: (target, name) => (name === id ? (target[mounted] ?? target[id]) : target[name]),
      set: (target, name, value) => {
        if (name === id && (target[id] === undefined || target[id] === target[mounted])) target[id] = value;
        target[name === id ? mounted : name] = value;
        return true;
      },
    });
  };
  let registry = null;
  const scopedWindow = new Proxy(window, {
    get: (target, name) => {
      if (name === "__timelines") return (registry ??= timelines());
      if (name === "__hyperframes") return hyperframes;
      const value = Reflect.get(target, name, target);
      // Classes keep what is static in them.
      return typeof value === "function" && value.prototype === undefined ? value.bind(target) : value;
    },
    set: (target, name, value) => {
      if (name !== "__timelines") return Reflect.set(target, name, value, target);
      // `window.__timelines = window.__timelines || {}` gives back what it was given.
      if (value === registry) return true;
      registry = null;
      target.__timelines = value ?? {};
      return true;
    },
  });
  const hyperframes = window.__hyperframes && {
    ...window.__hyperframes,
    getVariables: () => ({ ...window.__hfVariablesByComp?.[mounted] }),
    assetUrl: (path) => new URL(path, new URL(file.split("/").map(encodeURIComponent).join("/"), document.baseURI)).href,
  };

  const gsap = window.gsap && scopedGsap(window.gsap);
  script?.call(window, scopedDocument, gsap, scopedWindow, hyperframes);
  return hyperframes;
};
