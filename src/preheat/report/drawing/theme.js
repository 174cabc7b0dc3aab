"use strict";
(() => {
  const root = document.documentElement;
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const button = document.getElementById("theme");
  const isDark = () => (root.dataset.theme || (system.matches ? "dark" : "light")) === "dark";
  const label = () => { button.textContent = isDark() ? "Light" : "Dark"; button.setAttribute("aria-label", "Show in " + (isDark() ? "light" : "dark")); };
  const fromHash = () => { const m = /^#(dark|light)$/.exec(location.hash); if (m) root.dataset.theme = m[1]; label(); };
  button.hidden = false;
  button.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; label(); });
  system.addEventListener("change", label);
  window.addEventListener("hashchange", fromHash);
  fromHash();
})();
