"use strict";
{
  const body = document.body;
  const announcer = document.getElementById("announcer");
  const PAUSE = 1000; // Milliseconds.
  const FAILURES = 3; // After so many in a row, the listener is gone.
  let following = new AbortController();

  const pause = () => new Promise((resolve) => setTimeout(resolve, PAUSE));

  function show(outcome, title, content) {
    const main = document.querySelector("main");
    body.dataset.outcome = outcome;
    main.replaceChildren(content);
    const heading = main.querySelector("h1");
    document.title = title ?? heading.textContent;
    heading.tabIndex = -1;
    heading.focus();
    scrollTo(0, 0);
    announcer.textContent = heading.textContent;
  }

  function showLost() {
    const outcome = body.dataset.outcome;
    if (!outcome || outcome === "waiting") {
      show("unknown", null, document.getElementById("lost").content.cloneNode(true));
      return;
    }
    const closing = document.querySelector(".closing");
    announcer.textContent = closing.textContent = closing.dataset.over;
  }

  // Returns whether there is more to ask for.
  function take(text) {
    const page = new DOMParser().parseFromString(text, "text/html");
    const { outcome, live } = page.body.dataset;
    if (!outcome) {
      showLost();
      return false;
    }
    if (outcome !== body.dataset.outcome) {
      const content = document.createDocumentFragment();
      content.append(...page.querySelector("main").childNodes);
      document.documentElement.lang = page.documentElement.lang;
      show(outcome, page.title, content);
    }
    return Boolean(live);
  }

  async function ask(signal) {
    // No browser asks for this type alone when it navigates.
    const headers = { Accept: "text/html" };
    const answer = await fetch(body.dataset.live, { headers, mode: "same-origin", cache: "no-store", signal });
    return [answer, await answer.text()];
  }

  async function follow(signal) {
    for (let failures = 0; ; ) {
      let answer, text;
      try {
        [answer, text] = await ask(signal);
        failures = 0;
      } catch {
        if (signal.aborted) return;
        failures += 1;
        if (failures === FAILURES) return showLost();
        await pause();
        continue;
      }
      if (signal.aborted) return;
      if (answer.headers.has("Location")) return location.replace(answer.headers.get("Location"));
      if (!answer.ok) return showLost();
      if (answer.status === 204) continue;
      if (!take(text)) return;
      if (body.dataset.outcome !== "waiting") await pause();
    }
  }

  function begin() {
    following.abort();
    following = new AbortController();
    follow(following.signal);
  }

  // The form's own answer shows what comes of it.
  document.addEventListener("submit", (event) => {
    if (!event.defaultPrevented) following.abort();
  });
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) begin();
  });
  begin();
}
