"use strict";
{
    // Asks with growing pauses, never while nobody looks, and shows the page once it can be shown.
    let wait = 1000 * (Number(document.currentScript.dataset.again) || 5), timer = 0;
    const look = async () => {
        clearTimeout(timer);
        timer = setTimeout(look, wait * (0.8 + 0.4 * Math.random()));
        if (document.hidden) return;
        wait = Math.min(60000, wait * 1.5);
        try {
            const options = {method: "HEAD", cache: "no-store", redirect: "manual", headers: {Accept: "text/html"}};
            if ((await fetch(location.href, options)).status !== 503) location.reload();
        } catch { /* no network yet */ }
    };
    timer = setTimeout(look, wait);
    document.addEventListener("visibilitychange", look);
}
