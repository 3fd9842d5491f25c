// Draws the figures in the colours of the page, again whenever those or the width change.
"use strict";
(() => {
  const NARROW_PX = 600;
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const config = { displayModeBar: false, responsive: false };
  const hidden = Object.fromEntries(Object.keys(figures).map((name) => [name, new Set()]));
  

  function resolve(value, css) {
    if (typeof value === "string") {
      return value.replace(/var\((--[\w-]+)\)/g, (_, name) => css.getPropertyValue(name).trim());
    }
    if (Array.isArray(value)) return value.map((item) => resolve(item, css));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, resolve(item, css)]));
  }

  function draw(element) {
    const name = element.dataset.figure;
    const { data, layout, narrow } = figures[name];
    const isNarrow = element.clientWidth < NARROW_PX;
    const fitted = isNarrow ? { ...layout, ...narrow } : layout;
    const shown = data.map((trace) => ({ ...trace, visible: !hidden[name].has(trace.legendgroup) }));
    const labels = (fitted.annotations || []).filter((label) => !hidden[name].has(label.name));
    const css = getComputedStyle(document.documentElement);
    const size = { width: element.clientWidth, height: element.clientHeight };
    Plotly.react(element, resolve(shown, css), { ...resolve({ ...fitted, annotations: labels }, css), ...size }, config);
  }

  const places = [...document.querySelectorAll("[data-figure]")];
  const drawAll = () => places.forEach(draw);
  const observer = new ResizeObserver((entries) => {
    for (const { target } of entries) requestAnimationFrame(() => draw(target));
  });
  places.forEach((element) => observer.observe(element));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  addEventListener("beforeprint", drawAll);

  for (const button of document.querySelectorAll(".legend button")) {
    button.addEventListener("click", () => {
      const name = button.closest(".legend").dataset.for;
      const isShown = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(isShown));
      hidden[name][isShown ? "delete" : "add"](button.dataset.group);
      draw(document.getElementById(`figure-${name}`));
    });
  }

  const pause = document.getElementById("pause");
  if (pause) {
    const stills = document.querySelectorAll("#rollouts source");
    const wish = matchMedia("(prefers-reduced-motion: reduce)");
    let isPaused = wish.matches;
    const show = () => {
      stills.forEach((still) => (still.media = isPaused ? "all" : "not all"));
      pause.textContent = isPaused ? "Play" : "Pause";
      pause.setAttribute("aria-label", isPaused ? "Play the rollouts" : "Pause the rollouts");
    };
    pause.hidden = false;
    pause.addEventListener("click", () => { isPaused = !isPaused; show(); });
    wish.addEventListener("change", () => { isPaused = wish.matches; show(); });
    show();
  }
})();
