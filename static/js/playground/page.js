import { mount } from "./main.js";

mount(document.querySelector("[data-playground]"), { embedded: false });
