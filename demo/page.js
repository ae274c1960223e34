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

  // What cannot be taken back is asked before.
  document.addEventListener(
    "click",
    (event) => {
      const sure = JSON.parse(find("[data-sure]")?.dataset.sure ?? "{}")[event.target.closest?.("button")?.id];
      if (sure && !confirm(sure)) {
        event.preventDefault();
        event.stopImmediatePropagation();
      }
    },
    true,
  );

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
    n: () => {
      press("#new-conversation");
      find("#question textarea")?.focus();
    },
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.key === "Escape" && !find("dialog[open]")) press("#stop");
    if (isTyping(event.target) || (find("dialog[open]") && event.key !== "?")) return;
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
  // What Gradio says in English only, to those who see no picture or wait over one.
  const CHINESE = [
    [/^Copy message$/, "复制消息"],
    [/^Copied message$/, "已复制"],
    [/^Copy conversation$/, "复制对话"],
    [/^Copied conversation$/, "已复制"],
    [/^undo$/i, "撤回"],
    [/^Liked$/, "已点赞"],
    [/^Disliked$/, "已点踩"],
    [/^Reset to default value$/, "恢复默认值"],
    [/^Click to upload or drop files$/, "点击或拖放以上传文件"],
    [/^chatbot conversation$/, "对话"],
    [/^Gradio footer navigation$/, "页脚"],
    [/^Select example (\d+): /, "示例 $1："],
    [/^bot's message: /, "回答："],
    [/^user's message: /, "问题："],
    [/^number input for /, "数值："],
    [/^range slider for /, "滑块："],
  ];
  const inChinese = (said) => CHINESE.reduce((words, [english, chinese]) => words.replace(english, chinese), said);
  const translate = (element, name) => {
    const said = element.getAttribute(name);
    if (said && said !== inChinese(said)) element.setAttribute(name, inChinese(said));
  };
  const tidy = () => {
    if (/^zh/i.test(navigator.language)) {
      document.querySelectorAll("[aria-label]").forEach((element) => translate(element, "aria-label"));
      document.querySelectorAll("[title]").forEach((element) => translate(element, "title"));
    }
    document.querySelectorAll("#chat [data-testid='bot'], #chat [data-testid='user']").forEach((message) => {
      const label = message.getAttribute("aria-label") ?? "";
      if (label !== written(label)) message.setAttribute("aria-label", written(label));
    });
    // The arrow of a thought is part of a button already, and has no name of its own.
    document.querySelectorAll("#chat .thought-group > [role='button'] button:not([aria-hidden])").forEach((arrow) => {
      arrow.ariaHidden = "true";
      arrow.tabIndex = -1;
    });
    find("#files input[type='file']")?.setAttribute("accept", ".txt,.pdf,.docx");
    document.querySelectorAll("#chat textarea:not([data-written])").forEach((box) => {
      box.dataset.written = "";
      box.value = written(box.value);
      box.dispatchEvent(new Event("input", { bubbles: true }));
    });
  };
  // On a phone, the cursor in the question would push the beginning of the page out of sight.
  let isBegun = false;
  const begin = () => {
    const box = find("#question textarea");
    if (isBegun || !box) return;
    isBegun = true;
    if (matchMedia("(min-width: 901px)").matches) box.focus({ preventScroll: true });
  };
  // When an answer is done, the first passage that it cites comes into view, unless one is being looked at.
  let isAnswering = false;
  const settle = () => {
    const was = isAnswering;
    isAnswering = find("#stop") !== null;
    const [panel, card] = [find("#evidence-panel"), find("#evidence-panel .card:not(.unused)")];
    if (!was || isAnswering || !panel || !card || panel.scrollTop > 0) return;
    panel.scrollTop = card.getBoundingClientRect().top - panel.getBoundingClientRect().top - 12;
  };
  let isWaiting = false;
  new MutationObserver(() => {
    if (isWaiting) return;
    isWaiting = true;
    setTimeout(() => {
      isWaiting = false;
      begin();
      settle();
      tidy();
    }, 200);
  }).observe(document.documentElement, { childList: true, subtree: true });
})();
