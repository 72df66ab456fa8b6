// The common functions of all scripts: finding and writing elements, numbers with their nouns, the time of day.
"use strict";

const number = new Intl.NumberFormat("en");

const millions = new Intl.NumberFormat("en", { notation: "compact", minimumFractionDigits: 2, maximumFractionDigits: 2 });

function count(value) {
  return value < 1e6 ? number.format(value) : millions.format(value);
}

function duration(milliseconds) {
  return milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}

function find(inside, name) {
  return inside.querySelector(`[data-is="${name}"]`);
}

function write(element, text) {
  if (element && element.textContent !== String(text)) element.textContent = text;
}

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

// Each [data-noun] inside has its two forms in data-singular and data-plural, and the name of its number in data-noun.
function showNouns(inside, numbers) {
  for (const element of inside.querySelectorAll("[data-noun]")) {
    const count = numbers[element.dataset.noun];
    if (count !== undefined) write(element, count === 1 ? element.dataset.singular : element.dataset.plural);
  }
}

function clock(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString("en-GB");
}

function nameOfState(node) {
  return node.down_for ? `${node.state} ${Math.round(node.down_for)} s` : node.state.replace("_", " ");
}
