// What the page does by itself in the browser: citations lead to their passages, keys do what the "?" dialog lists,
// and what was escaped for display is given back as it was written when it is copied or edited.
(() => {
  const PASSAGE = "a[href*='#passage-']";
  const find = (selector, root = document) => root.querySelector(selector);
  const isTyping = (element) => element?.closest?.("input, textarea, select, [contenteditable]");
  // Gradio knows only some Chinese locales; screen readers read by the language of the page.
  if (/^zh/i.test(navigator.language)) document.documentElement.lang = navigator.language;
  const isShown = (element) => element !== null && element.getClientRects().length > 0;

  // Citations. The passages of an earlier answer come from the server first.
  const show = (id, tries = 60) => {
    const card = document.getElementById(id);
    const panel = find("#evidence-panel");
    if (!card || !panel || !isShown(card)) {
      if (tries > 0) setTimeout(() => show(id, tries - 1), 80);
      return;
    }
    document.querySelectorAll(".card.found").forEach((other) => other.classList.remove("found"));
    card.classList.add("found");
    panel.scrollTop += card.getBoundingClientRect().top - panel.getBoundingClientRect().top - 12;
    panel.scrollIntoView({ block: "nearest" });
    card.focus({ preventScroll: true });
  };
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.(PASSAGE);
    if (!link) return;
    event.preventDefault();
    find("#right button[role='tab']")?.click();
    show(link.getAttribute("href").split("#")[1]);
  });

  // Keys.
  const step = (by) => {
    const cards = [...document.querySelectorAll("#evidence-panel .card")];
    if (!cards.length) return;
    const at = cards.findIndex((card) => card.classList.contains("found"));
    find("#right button[role='tab']")?.click();
    show(cards[(at < 0 && by < 0 ? cards.length - 1 : at + by + cards.length) % cards.length].id);
  };
  const press = (selector) => {
    const button = find(selector);
    if (isShown(button)) button.click();
  };
  const help = () => {
    const dialog = find("#keys dialog");
    if (dialog) dialog.open ? dialog.close() : dialog.showModal();
  };
  const keys = {
    "/": () => find("#question textarea")?.focus(),
    "[": () => step(-1),
    "]": () => step(1),
    "?": help,
    n: () => press("#new-conversation"),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.key === "Escape" && !find("dialog[open]")) press("#stop");
    if (isTyping(event.target) || find("dialog[open]")) return;
    const act = keys[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest?.("[data-keys]")) help();
  });

  // Text as it was written.
  const written = (shown) =>
    shown
      .replace(/\[\\\[(\d{1,3})\\\]\]\(#passage-\d+-\d+\)/g, "[$1]")
      .replace(/<span class="uncited"[^>]*>|<\/span>/g, "")
      .replace(/\\([\\`*_{}\[\]<>#|~$@:.])/g, "$1")
      .replace(/&amp;/g, "&");
  if (navigator.clipboard) {
    const write = navigator.clipboard.writeText.bind(navigator.clipboard);
    navigator.clipboard.writeText = (text) => write(written(text));
  }
  const tidy = () => {
    document.querySelectorAll("#chat [data-testid='bot'], #chat [data-testid='user']").forEach((message) => {
      const label = message.getAttribute("aria-label") ?? "";
      if (label !== written(label)) message.setAttribute("aria-label", written(label));
    });
    document.querySelectorAll("#chat textarea:not([data-written])").forEach((box) => {
      box.dataset.written = "";
      box.value = written(box.value);
      box.dispatchEvent(new Event("input", { bubbles: true }));
    });
  };
  let isWaiting = false;
  new MutationObserver(() => {
    if (isWaiting) return;
    isWaiting = true;
    setTimeout(() => {
      isWaiting = false;
      tidy();
    }, 200);
  }).observe(document.documentElement, { childList: true, subtree: true });
})();
