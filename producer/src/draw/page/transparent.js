{
  const style = document.createElement("style");
  style.textContent = "html, body, [data-composition-id] { background: transparent !important; }";
  (document.head ?? document.documentElement).append(style);
}
