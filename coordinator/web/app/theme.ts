// Runs before anything is painted: a page that flashes white at night is a bad neighbour.
const chosen = localStorage.getItem("kilnet.theme");
if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
export {};
