// Asks the shop once a second for the state of the nodes, and shows the answer on the page.
"use strict";

const cluster = document.getElementById("cluster");

function line(history, top) {
  const step = 60 / (history.length - 1);
  const points = history.map((count, i) => `${(i * step).toFixed(2)} ${(19 - (17 * count) / top).toFixed(2)}`);
  return `M-1 21 L-1 ${points[0].split(" ")[1]} L${points.join(" L")} L61 21`;
}

function showNode(node, top) {
  let card = cluster.querySelector(`[data-node="${CSS.escape(node.address)}"]`);
  if (!card) {
    card = cluster.querySelector("[data-node]").cloneNode(true);
    card.dataset.node = node.address;
    write(card.querySelector("h2"), node.address);
    cluster.querySelector("[data-nodes]").append(card);
  }
  card.className = `node ${node.state}`;
  card.title = node.error || "";
  write(find(card, "state"), nameOfState(node));
  write(find(card, "attempts"), number.format(node.attempts));
  write(find(card, "rate"), number.format(node.history[node.history.length - 1]));
  write(find(card, "failures"), number.format(node.failures));
  showNouns(card, node);
  find(card, "line").setAttribute("d", line(node.history, top));
}

function showFailovers(failovers) {
  const list = cluster.querySelector("[data-failovers]");
  if (!failovers.length) return;
  list.replaceChildren(
    ...failovers.slice(0, 5).map((failover) => {
      const item = document.createElement("li");
      const error = document.createElement("small");
      const what = [failover.operation, failover.table_name].filter(Boolean).join(" ");
      error.textContent = ` ${failover.error}`;
      item.append(`${clock(failover.at)} ${what}: ${failover.from_node} → ${failover.to_node || "none"}`, error);
      return item;
    }),
  );
}

function show(state) {
  for (const figure of cluster.querySelectorAll("[data-figure]")) {
    const value = state[figure.dataset.figure];
    write(figure, value === null ? "–" : count(value));
  }
  showNouns(cluster.querySelector(".figures"), state);
  const top = Math.max(1, ...state.nodes.flatMap((node) => node.history));
  state.nodes.forEach((node) => showNode(node, top));
  // Those of a demo that was started again are other ones.
  const addresses = state.nodes.map((node) => node.address);
  for (const card of cluster.querySelectorAll("[data-node]")) {
    if (addresses.length && !addresses.includes(card.dataset.node)) card.remove();
  }
  showFailovers(state.last_failovers);
}

async function refresh() {
  let answered = false;
  try {
    const answer = await fetch(cluster.dataset.state, { cache: "no-store" });
    answered = answer.ok;
    if (answered) show(await answer.json());
  } catch {
    // The shop was stopped or restarts: the page says so, and asks again.
  }
  cluster.querySelector("[data-stale]").hidden = answered;
  setTimeout(refresh, document.hidden ? 5000 : 1000);
}

for (const time of cluster.querySelectorAll("[data-at]")) time.textContent = clock(Number(time.dataset.at));
refresh();
