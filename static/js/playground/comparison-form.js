// Shows the fields that the chosen skill reads.
const skill = document.querySelector("#cm-skill");
const show = () => {
  for (const field of document.querySelectorAll("[data-for]")) field.hidden = !field.dataset.for.split(" ").includes(skill.value);
};
skill.addEventListener("change", show);
show();
