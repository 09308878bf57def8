// Draws the book's diagrams, which stand in its pages as text, in the colours of the reader's theme.
(() => {
  const drawn = [...document.querySelectorAll("code.language-mermaid")].map((code) => {
    const place = document.createElement("div");
    place.className = "diagram";
    code.parentElement.replaceWith(place);
    return { place, text: code.textContent };
  });
  if (drawn.length === 0) return;

  const root = document.documentElement;
  const isDark = () => ["coal", "navy", "ayu"].some((theme) => root.classList.contains(theme));
  let theme;

  async function draw() {
    const wanted = isDark() ? "dark" : "default";
    if (wanted === theme) return;
    theme = wanted;
    mermaid.initialize({ startOnLoad: false, securityLevel: "strict", theme });
    for (const [index, { place, text }] of drawn.entries()) {
      try {
        place.innerHTML = (await mermaid.render(`diagram-${theme}-${index}`, text)).svg;
      } catch (error) {
        place.textContent = `${text}\n\n${error}`;
      }
    }
  }

  const script = document.createElement("script");
  script.src = `${path_to_root}mermaid.tiny.js`;
  script.onload = () => {
    draw();
    new MutationObserver(draw).observe(root, { attributeFilter: ["class"] });
  };
  document.head.append(script);
})();
