"use strict";
{
  const body = document.body;
  const announcer = document.getElementById("announcer");
  const ATTEMPT = "Oauth-Helper-Attempt";
  const PAUSE = 1000; // Milliseconds.
  const FAILURES = 3; // So many in a row, and whoever answered is gone.
  let following = new AbortController();
  let isPromised = body.dataset.outcome === "waiting";

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

  function goOn(answer) {
    // Another try of the same story: the page stays the page.
    const form = document.querySelector("form");
    const [story] = body.dataset.attempt.split(".");
    const isSame = answer.headers.get(ATTEMPT).split(".")[0] === story;
    const start = isSame && form?.getAttribute("action").replace("/redirect?", "/start?");
    location.replace(start || answer.headers.get("Location"));
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
    const answer = await fetch(body.dataset.live, {
      headers: { [ATTEMPT]: body.dataset.attempt + (isPromised ? " promised" : "") },
      mode: "same-origin",
      cache: "no-store",
      signal,
    });
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
      if (answer.headers.has("Location")) return goOn(answer);
      if (!answer.ok) return showLost();
      isPromised = answer.status === 204;
      if (isPromised) continue;
      if (!take(text)) return;
      isPromised = body.dataset.outcome === "waiting";
      if (!isPromised) await pause();
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
