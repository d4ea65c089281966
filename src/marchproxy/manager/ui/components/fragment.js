// Shows HTML that the server made, and turns what is there into it node by node when it changes, so that focus, selection
// and scrolling stay where they are. Clicks on buttons with `data-act` are told to the server.
function agree(shown, wanted) {
  return (
    shown.nodeType === wanted.nodeType &&
    shown.nodeName === wanted.nodeName &&
    (shown.id || "") === (wanted.id || "")
  );
}

function patchAttributes(shown, wanted) {
  for (const { name } of [...shown.attributes]) if (!wanted.hasAttribute(name)) shown.removeAttribute(name);
  for (const { name, value } of wanted.attributes) if (shown.getAttribute(name) !== value) shown.setAttribute(name, value);
}

function patch(shown, wanted) {
  let at = shown.firstChild;
  for (const child of [...wanted.childNodes]) {
    if (at && agree(at, child)) {
      if (at.nodeType === Node.ELEMENT_NODE) {
        if (!at.isEqualNode(child)) {
          patchAttributes(at, child);
          patch(at, child);
        }
      } else if (at.nodeValue !== child.nodeValue) at.nodeValue = child.nodeValue;
      at = at.nextSibling;
    } else shown.insertBefore(child, at);
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

export default {
  template: `<div @click="told"></div>`,
  props: { html: String },
  mounted() {
    this.$el.innerHTML = this.html;
    window.marchproxyTimes?.();
  },
  updated() {
    const wanted = document.createElement("template");
    wanted.innerHTML = this.html;
    patch(this.$el, wanted.content);
    window.marchproxyTimes?.();
  },
  methods: {
    told(event) {
      const button = event.target.closest("[data-act]");
      if (!button || button.disabled || button.getAttribute("aria-disabled") === "true") return;
      this.$emit("act", { act: button.dataset.act, key: button.dataset.key || "" });
    },
  },
};
