// What belongs to every page and needs no server: keys, the drawer of the phone, the colour scheme, and how long ago.
(() => {
  const root = document.documentElement;
  const kept = localStorage.getItem("marchproxy-scheme");
  if (kept) root.dataset.scheme = kept;

  const places = { o: "/", i: "/listeners", r: "/routes", p: "/pools", c: "/rollouts", l: "/limits", m: "/modules",
    s: "/scaling", v: "/revisions", a: "/activity", u: "/users", k: "/keys", e: "/settings" };
  const schemes = ["auto", "light", "dark"];
  let going = 0;

  const writing = (element) => element.closest("input, textarea, select, [contenteditable=true], .cm-editor");
  const menu = (open) => {
    root.dataset.menu = open ? "open" : "";
    document.querySelector(".menu-button")?.setAttribute("aria-expanded", String(open));
    if (open) document.querySelector(".side a")?.focus();
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") {
      if (root.dataset.menu === "open") {
        menu(false);
        document.querySelector(".menu-button")?.focus();
      } else if (writing(event.target) && !event.target.closest(".q-dialog, .cm-editor")) event.target.blur();
      return;
    }
    if (writing(event.target) || document.querySelector(".q-dialog")) return;
    if (event.key === "/") {
      event.preventDefault();
      (document.querySelector("[data-seek]") || document.querySelector("#seek"))?.focus();
    } else if (event.key === "g") going = Date.now();
    else if (Date.now() - going < 1500 && places[event.key]) {
      going = 0;
      location.href = places[event.key];
    } else if (event.key === "?") document.querySelector("[data-keys]")?.click();
  });

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-do]");
    if (!button) return;
    if (button.dataset.do === "copy") {
      navigator.clipboard?.writeText(button.dataset.text).then(() => (button.textContent = "Copied"));
      return;
    }
    if (button.dataset.do === "menu") menu(root.dataset.menu !== "open");
    if (button.dataset.do === "scheme") {
      const next = schemes[(schemes.indexOf(root.dataset.scheme || "auto") + 1) % schemes.length];
      if (next === "auto") {
        delete root.dataset.scheme;
        localStorage.removeItem("marchproxy-scheme");
      } else {
        root.dataset.scheme = next;
        localStorage.setItem("marchproxy-scheme", next);
      }
      tellScheme();
    }
  });

  let seen = "";
  const dark = matchMedia("(prefers-color-scheme: dark)");
  function tellScheme() {
    const word = root.dataset.scheme || "auto";
    const shown = word === "auto" ? (dark.matches ? "dark" : "light") : word;
    document.cookie = `marchproxy-scheme=${shown}; path=/; max-age=31536000; samesite=lax`;
    if (seen && seen !== shown) window.emitEvent?.("scheme", shown);
    seen = shown;
    const button = document.querySelector('[data-do="scheme"]');
    button?.setAttribute("aria-label", `Colours: ${word}`);
    button?.setAttribute("title", `Colours: ${word}`);
  }

  dark.addEventListener("change", tellScheme);
  tellScheme();

  function inWords(seconds) {
    const whole = Math.max(0, Math.floor(seconds));
    const parts = [[Math.floor(whole / 86400), "d"], [Math.floor(whole / 3600) % 24, "h"], [Math.floor(whole / 60) % 60, "min"], [whole % 60, "s"]];
    const first = parts.findIndex(([number]) => number);
    if (first < 0) return "0 s";
    const shown = parts.slice(first, first + (first >= 2 ? 1 : 2)).filter(([number]) => number);
    return shown.map(([number, unit]) => `${number} ${unit}`).join(" ");
  }

  window.marchproxyTimes = () => {
    for (const time of document.querySelectorAll("time[data-ago]")) {
      const text = `${inWords((Date.now() - Date.parse(time.dateTime)) / 1000)} ago`;
      if (time.textContent !== text) time.textContent = text;
    }
  };
  setInterval(window.marchproxyTimes, 1000);
  new MutationObserver((_, watching) => {
    if (document.querySelector('[data-do="scheme"]')) {
      tellScheme();
      watching.disconnect();
    }
  }).observe(root, { childList: true, subtree: true });
})();
