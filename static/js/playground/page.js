import { Demand } from "./demand.js";
import { mount } from "./main.js";
import { Panes } from "./panes.js";
import { Tour } from "./tour.js";

const page = document.querySelector("[data-playground-page]");
const given = new URLSearchParams(location.search).get("panes");
const before = { text: given ?? "", summarise() {}, show() {} }; // what is mounted writes the address anew
const root = document.querySelector("[data-playground]");
const playground = mount(root, { embedded: false, panes: before });
new Demand(page, root);
playground.panes = new Panes(page, playground, given);
new Tour(page);
