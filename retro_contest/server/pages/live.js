// Keeps a server's pages up to date. Pages work without it.
//   data-refresh="PATH" data-seconds="N": its content comes from PATH anew every N seconds
//   data-follow: the page itself is loaded again after the board was written anew
"use strict";

const PAUSE_AFTER_FAILURE = 15;

async function fetched(path) {
  const answer = await fetch(path, { headers: { "X-Refresh": "1" } });
  // Logged out, or gone: the page itself says so.
  if (answer.status === 401 || answer.status === 404) location.reload();
  if (!answer.ok) throw new Error(answer.statusText);
  return answer;
}

async function refresh(place) {
  const answer = await fetched(place.dataset.refresh);
  const text = await answer.text();
  // A link that has the focus must not lose it.
  if (text !== place.lastText && !place.contains(document.activeElement)) {
    place.innerHTML = text;
    place.lastText = text;
  }
  // What ended has logs and films now: the whole page is another.
  if (answer.headers.has("X-Ended") && !("ended" in place.dataset)) location.reload();
}

async function follow(main) {
  const answer = await fetched(location.pathname);
  const written = answer.headers.get("Last-Modified");
  main.written ??= new Date(document.lastModified).getTime();
  if (!written || new Date(written).getTime() <= main.written) return;
  main.written = new Date(written).getTime();
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  const there = new Map([...main.children].filter((part) => part.id).map((part) => [part.id, part]));
  for (const part of fresh.querySelectorAll("main > [id]")) {
    const old = there.get(part.id);
    // Somebody who is busy in a table keeps it as it is.
    if (!old) return location.reload();
    if (old.contains(document.activeElement) || old.querySelector("[aria-sort]")) continue;
    const input = old.querySelector("[data-filter]");
    const words = input ? input.value : "";
    old.replaceWith(part);
    equip(part);
    const filter = part.querySelector("[data-filter]");
    if (filter && words) {
      filter.value = words;
      filter.dispatchEvent(new Event("input"));
    }
  }
}

async function repeat(seconds, act) {
  for (;;) {
    await new Promise((wake) => setTimeout(wake, seconds() * 1000));
    if (!document.hidden) await act();
  }
}

for (const place of document.querySelectorAll("[data-refresh]")) {
  let pause = 0;
  const act = () => refresh(place).then(() => (pause = 0), () => (pause = PAUSE_AFTER_FAILURE));
  act();
  repeat(() => pause || Number(place.dataset.seconds), act);
}
const main = document.querySelector("main[data-follow]");
if (main) repeat(() => 10, () => follow(main).catch(() => {}));
