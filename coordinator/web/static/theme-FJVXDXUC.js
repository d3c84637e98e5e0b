var e=localStorage.getItem("kilnet.theme");(e==="light"||e==="dark")&&(document.documentElement.dataset.theme=e);
