// Chance that is the same for the same seed (mulberry32).
//   const { chance, below, one } = require('./chance')(SEED);
// chance(p) is true so often, below(n) a whole number from 0 up to n, one(list) one
// of it.
'use strict';

module.exports = (seed) => {
    let state = seed >>> 0;
    function rand() {
        state = (state + 0x6D2B79F5) >>> 0;
        let t = Math.imul(state ^ (state >>> 15), 1 | state);
        t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
        return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    }
    const below = (n) => Math.floor(rand() * n);
    return { below, chance: (p) => rand() < p, one: (list) => list[below(list.length)] };
};
