"use strict";
const form = document.querySelector("form");
const box = document.getElementById("redirect");
const clipboard = document.getElementById("clipboard");
const progress = document.getElementById("progress");
const TEXT_KINDS = ["text/uri-list", "text/plain"];

function send(text) {
  if (!text.trim()) {
    progress.textContent = "There was no text in that. Copy the address from the address bar first.";
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
  progress.textContent = busy ? "Linking your account. This takes a few seconds…" : "";
}

document.addEventListener("paste", (event) => {
  event.preventDefault();
  send(textOf(event.clipboardData));
});
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  send(textOf(event.dataTransfer));
});
clipboard.addEventListener("click", async () => {
  try {
    send(await navigator.clipboard.readText());
  } catch {
    progress.textContent = "The browser did not hand over the clipboard. Press Ctrl+V (on a Mac ⌘V) instead.";
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
