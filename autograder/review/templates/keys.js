"use strict";
// Keys for what a page also does by links and buttons: a key presses what names it in data-key, or puts the cursor there.
(() => {
  const keys = document.getElementById("keys");
  keys.hidden = keys.textContent.trim() === "";
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input:not([type=checkbox]), textarea");
    if (typing && event.key === "Escape") event.target.blur();
    if (typing && event.key === "Enter" && event.ctrlKey) event.target.form.requestSubmit();
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const target = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
    if (target === null) return;
    event.preventDefault();
    if (target.matches("input, textarea")) target.focus();
    else target.click();
  });
})();
