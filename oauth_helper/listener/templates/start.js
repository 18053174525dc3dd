"use strict";
const form = document.querySelector("form");
const box = document.getElementById("redirect");
const clipboard = document.getElementById("clipboard");
const progress = document.getElementById("progress");
const TEXT_KINDS = ["text/uri-list", "text/plain"];

function send(text) {
  if (!text.trim()) {
    progress.textContent = progress.dataset.empty;
    return;
  }
  box.value = text;
  form.requestSubmit();
}

function textOf(transfer) {
  return TEXT_KINDS.map((kind) => transfer.getData(kind)).find(Boolean) ?? "";
}

function setBusy(busy) {
  for (const button of form.querySelectorAll("button")) button.disabled = busy;
  form.ariaBusy = String(busy);
  progress.textContent = busy ? progress.dataset.busy : "";
}

// Once the page shows the end, the form is gone from it.
function whileAsked(act) {
  return (event) => {
    if (!form.isConnected) return;
    event.preventDefault();
    act(event);
  };
}

document.addEventListener("paste", whileAsked((event) => send(textOf(event.clipboardData))));
document.addEventListener("dragover", whileAsked(() => {}));
document.addEventListener("drop", whileAsked((event) => send(textOf(event.dataTransfer))));
clipboard.addEventListener("click", async () => {
  try {
    send(await navigator.clipboard.readText());
  } catch {
    progress.textContent = progress.dataset.withheld;
  }
});
form.addEventListener("submit", (event) => {
  if (form.ariaBusy === "true") event.preventDefault();
  else setBusy(true);
});
// A page brought back with the Back button comes as it was left.
window.addEventListener("pageshow", () => setBusy(false));

clipboard.hidden = !navigator.clipboard?.readText;
for (const element of document.querySelectorAll(".scripted")) element.hidden = false;
