// Shows the server's picture of the cluster, twice a second, and moves keys on the page when their node changes.
"use strict";

const board = document.getElementById("board");
const cards = board.querySelector("[data-nodes]");
const live = board.querySelector("[data-live]");
const said = board.querySelector("[data-said]");
const calm = matchMedia("(prefers-reduced-motion: reduce)");

const WIDTH = 580; // of the charts, in their own units: 60 seconds, of which 58 steps are seen
const STEP = 10;
const TRAVEL = 900;

// ---- charts ---------------------------------------------------------------------------------------------------------

// The newest point is drawn one step right of the visible picture, and slides into the picture within a second.
function x(index, length) {
  return WIDTH + STEP - (length - 1 - index) * STEP;
}

function y(value, top) {
  return (98 - (94 * value) / top).toFixed(1);
}

function area(lower, upper, top) {
  const size = upper.length;
  const above = upper.map((value, i) => `${x(i, size)} ${y(value, top)}`);
  const below = lower.map((value, i) => `${x(i, size)} ${y(value, top)}`).reverse();
  return `M${above.join("L")}L${below.join("L")}Z`;
}

function line(values, top) {
  let path = "";
  let pen = "M";
  values.forEach((value, i) => {
    if (value === null) {
      pen = "M";
      return;
    }
    path += `${pen}${x(i, values.length)} ${y(Math.min(value, top), top)}`;
    pen = "L";
  });
  return path;
}

function nice(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [1, 2, 3, 5, 10].map((factor) => factor * power).find((top) => top >= value);
}

function slide(group) {
  if (calm.matches || !group) return;
  for (const running of group.getAnimations()) running.cancel();
  group.animate([{ transform: "none" }, { transform: `translateX(-${STEP}px)` }], { duration: 1000, fill: "forwards" });
}

let drawn = 0;

function draw(state) {
  if (state.second === drawn) return;
  drawn = state.second;
  const nodes = state.nodes;
  const empty = nodes.length ? nodes[0].history.map(() => 0) : [];
  const sums = nodes.reduce(
    (all, node) => [...all, node.history.map((count, i) => count + all[all.length - 1][i])],
    [empty],
  );
  const top = nice(Math.max(10, ...sums[sums.length - 1]));
  const picture = board.querySelector("[data-stack]");
  let group = picture.querySelector("g");
  if (!group) {
    group = document.createElementNS("http://www.w3.org/2000/svg", "g");
    picture.append(group);
  }
  while (group.childElementCount < nodes.length) {
    group.append(document.createElementNS("http://www.w3.org/2000/svg", "path"));
  }
  nodes.forEach((node, i) => {
    group.children[i].setAttribute("class", `c${node.colour}`);
    group.children[i].setAttribute("d", area(sums[i], sums[i + 1], top));
  });
  slide(group);
  write(board.querySelector("[data-top]"), `top line: ${number.format(top)}`);
  const most = Math.max(4, ...nodes.flatMap((node) => node.history));
  const slowest = Math.max(5, ...nodes.flatMap((node) => node.latencies.slice(-30).filter((latency) => latency !== null)));
  for (const node of nodes) {
    const card = cardOf(node);
    const rates = find(card, "rates");
    rates.setAttribute("d", area(empty, node.history, most));
    slide(rates.parentNode);
    const latencies = find(card, "latencies");
    latencies.setAttribute("d", line(node.latencies, slowest));
    slide(latencies.parentNode);
  }
}

function showLegend(state) {
  const legend = board.querySelector("[data-legend]");
  const names = state.nodes.map((node) => `${node.label} ${node.address}`).join();
  if (legend.dataset.of === names) return;
  legend.dataset.of = names;
  legend.replaceChildren(
    ...state.nodes.map((node) => {
      const item = make("span", `c${node.colour}`);
      item.append(make("i"), node.label);
      return item;
    }),
  );
}

// ---- nodes ----------------------------------------------------------------------------------------------------------

function cardOf(node) {
  let card = cards.querySelector(`[data-node="${CSS.escape(node.address)}"]`);
  if (card) return card;
  card = cards.querySelector("[data-node]").cloneNode(true);
  card.dataset.node = node.address;
  card.setAttribute("aria-label", `Node ${node.label}, ${node.address}`);
  write(find(card, "label"), node.label);
  write(find(card, "address"), node.address);
  find(card, "keys").replaceChildren();
  card.querySelector('input[name="node"]').value = node.address;
  for (const button of card.querySelectorAll("button")) {
    button.setAttribute("aria-label", `${button.textContent} node ${node.label}, ${node.address}`);
  }
  cards.append(card);
  return card;
}

const SITUATIONS = {
  killed: "Killed here: it refuses connections.",
  frozen: "Frozen here: it accepts connections, and answers nothing.",
};

function noteOf(node) {
  if (node.situation === "running" && !node.may.kill) return "The last node that runs: the shop needs it.";
  return SITUATIONS[node.situation] || (node.state === "active" ? "" : node.error || "");
}

// The share of a node that has come back. With slow start it grows; without, it is at once the same as before.
function nameOfReturn(node) {
  if (node.state !== "active" || node.situation === "frozen" || node.back_for === null || node.share === null) return "";
  return `Back for ${Math.round(node.back_for)} s, with ${node.share} % of its usual share of reads and plain writes.`;
}

function showHedging(state) {
  for (const button of board.querySelectorAll(".hedging button")) {
    button.setAttribute("aria-pressed", String(state.hedged === (button.value === "hedge")));
  }
}

function showNode(node, count) {
  const card = cardOf(node);
  const classes = `card ${node.state} c${node.colour}`;
  if (card.className !== classes) card.className = classes;
  write(find(card, "state"), nameOfState(node));
  write(find(card, "place"), [node.datacenter, node.rack].filter(Boolean).join(", "));
  write(find(card, "rate"), number.format(Math.round(node.rate)));
  write(find(card, "latency"), node.latency === null ? "–" : node.latency.toFixed(1));
  write(find(card, "count"), count);
  showNouns(card, { keys: count });
  write(find(card, "note"), noteOf(node));
  write(find(card, "back"), nameOfReturn(node));
  for (const button of card.querySelectorAll("button")) {
    if (!button.hasAttribute("aria-busy")) button.disabled = !node.may[button.value];
  }
}

// ---- keys -----------------------------------------------------------------------------------------------------------

function nameOf(key) {
  return `${key.table}/${key.key}`;
}

function showKeys(state) {
  const nodes = new Map(state.nodes.map((node) => [node.address, node]));
  const loose = board.querySelector("[data-loose]");
  const known = new Map([...board.querySelectorAll("[data-key]")].map((chip) => [chip.dataset.key, chip]));
  const moves = [];
  for (const key of state.keys) {
    const place = key.node && nodes.has(key.node) ? find(cardOf(nodes.get(key.node)), "keys") : loose;
    let chip = known.get(nameOf(key));
    if (!chip) {
      chip = make("li", "key", key.label);
      chip.dataset.key = nameOf(key);
    }
    if ((chip.dataset.replicas || "") !== key.replicas) {
      chip.dataset.replicas = key.replicas;
      chip.title = `${key.table}: ${key.key}` + (key.replicas ? `; it is on ${[...key.replicas].join(", ")}` : "");
    }
    const home = nodes.get(key.home || key.node);
    const moved = Boolean(home && key.node && key.node !== key.home && key.home);
    const classes = `key${home ? ` c${home.colour}` : ""}${moved ? " moved" : ""}`;
    if (chip.className !== classes) chip.className = classes;
    if (moved) chip.dataset.from = home.label;
    else delete chip.dataset.from;
    if (chip.parentNode !== place) moves.push([chip, place]);
  }
  board.querySelector("[data-hint]").hidden = state.keys.every((key) => !key.replicas);
  board.querySelector("[data-nowhere]").hidden = state.keys.every((key) => key.node);
  if (!moves.length) return 0;
  // Measure where the keys are, put them where they will be, and then animate the way between.
  const everybody = [...board.querySelectorAll("[data-key]")];
  const before = new Map(everybody.map((chip) => [chip, chip.getBoundingClientRect()]));
  for (const [chip, place] of moves) {
    const order = state.keys.findIndex((key) => nameOf(key) === chip.dataset.key);
    const after = [...place.children].find(
      (other) => state.keys.findIndex((key) => nameOf(key) === other.dataset.key) > order,
    );
    place.insertBefore(chip, after || null);
  }
  if (!calm.matches) {
    const travellers = new Set(moves.map(([chip]) => chip));
    everybody.forEach((chip) => travel(chip, before.get(chip), travellers.has(chip)));
  }
  return moves.length;
}

function travel(chip, from, far) {
  const to = chip.getBoundingClientRect();
  const [dx, dy] = [from.left - to.left, from.top - to.top];
  if (!dx && !dy) return;
  const frames = [{ transform: `translate(${dx}px, ${dy}px)` }, { transform: "none" }];
  if (far) {
    frames[0].zIndex = frames[1].zIndex = 2;
    frames.splice(1, 0, {
      transform: `translate(${dx / 2}px, ${dy / 2 - 24}px) scale(1.12)`,
      zIndex: 2,
      offset: 0.5,
    });
  }
  chip.animate(frames, { duration: far ? TRAVEL : TRAVEL / 2, easing: "cubic-bezier(.3, .1, .2, 1)" });
}

// ---- what happened --------------------------------------------------------------------------------------------------

function showList(name, entries, show) {
  const list = board.querySelector(`[data-${name}]`);
  const times = entries.map((entry) => entry.at).join();
  if (!entries.length || list.dataset.of === times) return;
  list.dataset.of = times;
  list.replaceChildren(
    ...entries.slice(0, 6).map((entry) => {
      const item = make("li");
      const what = make("span");
      what.append(...show(entry));
      item.append(make("time", "", clock(entry.at)), what);
      return item;
    }),
  );
}

function failover(entry) {
  return [
    make("b", "", entry.operation),
    ` ${entry.table_name || ""}`,
    make("small", "", `${entry.from_node} → ${entry.to_node || "none"}, ${entry.error}`),
  ];
}

function happened(entry) {
  return [make("b", "", entry.node), " is ", make("span", `pill ${entry.what.replace(" ", "_")}`, entry.what)];
}

const states = new Map();

// For visitors who cannot see the picture: say a sentence when a node has changed.
function announce(state, moved) {
  const news = [];
  for (const node of state.nodes) {
    const before = states.get(node.address);
    if (before !== undefined && before !== node.state) news.push(`Node ${node.label} is ${node.state.replace("_", " ")}.`);
    states.set(node.address, node.state);
  }
  if (news.length && moved) news.push(`${moved} ${moved === 1 ? "key" : "keys"} moved.`);
  if (news.length) tell(news.join(" "));
}

// The last sentences stay, because the answer to a button may come after the picture that shows its effect.
function tell(text, refused = false) {
  const now = Date.now();
  tell.recent = [...(tell.recent || []).filter((other) => other.at > now - 3000 && other.text !== text), { at: now, text }];
  said.className = refused ? "said refused" : "said";
  write(said, tell.recent.slice(-2).map((other) => other.text).join(" "));
  clearTimeout(tell.fading);
  tell.fading = setTimeout(() => said.classList.add("past"), 5000);
}

let first = true;

// The demo was started again, on other nodes: this page's keys and its token are those of the former one.
function isAnother(state) {
  const shown = [...cards.querySelectorAll("[data-node]")].map((card) => card.dataset.node);
  return shown.length > 0 && state.nodes.length > 0 && !state.nodes.some((node) => shown.includes(node.address));
}

function show(state) {
  if (isAnother(state)) {
    location.reload();
    return;
  }
  for (const figure of board.querySelectorAll("[data-figure]")) {
    const name = figure.dataset.figure;
    const value = state[name];
    const shown = name === "slowest" ? duration(value) : count(Math.round(value)) + (figure.dataset.unit || "");
    write(figure, value === null ? "–" : shown);
    figure.classList.toggle("bad", name === "errors" && state.errors > 0);
  }
  showNouns(board.querySelector(".figures"), { ...state, rate: Math.round(state.rate) });
  board.querySelector("[data-script]").hidden = !state.scripted;
  board.querySelector("[data-yours]").hidden = state.scripted || !state.nodes.some((node) => node.situation);
  showHedging(state);
  showLegend(state);
  for (const node of state.nodes) showNode(node, state.keys.filter((key) => key.node === node.address).length);
  const moved = showKeys(state);
  draw(state);
  showList("failovers", state.last_failovers, failover);
  showList("happened", state.events, happened);
  announce(state, first ? 0 : moved);
  first = false;
}

// ---- the server -----------------------------------------------------------------------------------------------------

let source = null;
let silence = 0;

function listen() {
  source?.close();
  source = new EventSource(board.dataset.events);
  source.addEventListener("state", (event) => {
    show(JSON.parse(event.data));
    heard();
  });
  source.onerror = () => {
    // The browser connects again on its own, except if the answer was not a stream.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => document.hidden || listen(), 3000);
  };
}

function heard() {
  live.className = "live on";
  write(live, "live");
  clearTimeout(silence);
  silence = setTimeout(() => {
    live.className = "live off";
    write(live, "the shop does not answer");
  }, 4000);
}

document.addEventListener("visibilitychange", () => {
  // A hidden page must not need a thread of the server.
  if (document.hidden) {
    source?.close();
    clearTimeout(silence);
  } else {
    listen();
  }
});

board.addEventListener("submit", async (event) => {
  const button = event.submitter;
  if (!button) return;
  event.preventDefault();
  const body = new URLSearchParams(new FormData(event.target, button));
  button.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(event.target.getAttribute("action"), {
      method: "POST",
      body,
      headers: { Accept: "application/json", "X-CSRFToken": board.dataset.csrf },
    });
    const isJson = (answer.headers.get("Content-Type") || "").startsWith("application/json");
    tell(isJson ? (await answer.json()).said : "The shop refused that. Load the page again.", !answer.ok);
  } catch {
    tell("The shop does not answer.", true);
  } finally {
    button.removeAttribute("aria-busy");
  }
});

for (const time of board.querySelectorAll("[data-at]")) time.textContent = clock(Number(time.dataset.at));
listen();
