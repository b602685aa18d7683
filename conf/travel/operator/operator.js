// The operators' page.  It shows what /api/v1/operator and /api/v1/dead say and
// passes on what is pressed; all text goes in as text, never as markup.
'use strict';

const API = '/api/v1/operator';
const EVERY = 2000;                     // ms between two looks
const $ = id => document.getElementById(id);

let token = sessionStorage.getItem('operator-token') || '';
let before = null;                      // the pool as it was a look ago
let timer = 0;
let turn = 0;                           // of the view: what is late is dropped
const rates = {};                       // of a type or 'all': jobs a second

// --- asking -----------------------------------------------------------------

async function ask(method, path, body, wait) {
    const headers = { authorization: 'Bearer ' + token };
    if (body !== undefined) headers['content-type'] = 'application/json';
    if (wait) headers.prefer = 'wait=' + wait;
    const answer = await fetch(path, { method, headers, cache: 'no-store',
        body: body === undefined ? undefined : JSON.stringify(body) });
    const text = await answer.text();
    let value = null;
    try { value = text ? JSON.parse(text) : null; } catch { /* no JSON */ }
    if (answer.status === 401) { leave(); }
    if (!answer.ok) {
        const e = value && value.error;
        throw new Error(e ? e.code + ': ' + e.message
            : 'the answer was ' + answer.status);
    }
    if (answer.status === 202) {
        throw new Error('no worker has answered in time; it is queued as '
            + (value && value.job ? value.job.id : 'a job'));
    }
    return value;
}

const get = path => ask('GET', path);
const post = (path, body) => ask('POST', path, body, 20);

function say(text, bad) {
    $('status').textContent = text;
    $('status').className = bad ? 'bad' : '';
}

// --- making elements --------------------------------------------------------

function el(name, props, ...children) {
    const e = document.createElement(name);
    for (const [k, v] of Object.entries(props || {})) {
        if (k === 'class') e.className = v;
        else if (k.startsWith('on')) e.addEventListener(k.slice(2), v);
        else if (v !== false && v != null) e.setAttribute(k, v === true ? '' : v);
    }
    e.append(...children.flat().filter(c => c != null).map(c =>
        c instanceof Node ? c : String(c)));
    return e;
}

const button = (text, act) =>
    el('button', { type: 'button', onclick: act }, text);

// columns: [heading, row => cell, class]
function table(caption, columns, rows, mark) {
    const head = el('tr', {}, columns.map(([name, , c]) =>
        el('th', { scope: 'col', class: c || '' }, name)));
    const body = rows.map(row => el('tr', { class: mark ? mark(row) : '' },
        columns.map(([, cell, c]) => el('td', { class: c || '' }, cell(row)))));
    if (!rows.length) {
        body.push(el('tr', {}, el('td', { colspan: columns.length,
            class: 'soft' }, 'None.')));
    }
    return el('div', { class: 'wide', tabindex: 0, role: 'region',
        'aria-label': caption }, el('table', {}, el('caption', {}, caption),
        el('thead', {}, head), el('tbody', {}, body)));
}

const cards = list => el('div', { class: 'cards' }, list.map(([name, value, c]) =>
    el('div', { class: 'card' }, el('b', { class: c || '' }, value),
        el('span', {}, name))));

const number = n => n == null ? '–' : n.toLocaleString('en');

function span(seconds) {
    if (seconds == null) return '–';
    if (seconds < 1) return Math.round(seconds * 1000) + '\u00a0ms';
    if (seconds < 120) return seconds.toFixed(1) + '\u00a0s';
    if (seconds < 7200) return Math.round(seconds / 60) + '\u00a0min';
    return seconds < 172800 ? Math.round(seconds / 3600) + '\u00a0h'
        : Math.round(seconds / 86400) + '\u00a0d';
}

function when(text) {
    if (!text) return '–';
    return el('time', { datetime: text, title: text },
        new Date(text).toLocaleString());
}

const since = text => text
    ? el('time', { datetime: text, title: text },
        span(Math.max(0, (Date.now() - Date.parse(text)) / 1000)))
    : '–';

// --- dialogs ----------------------------------------------------------------

function sheet(title, value, acts) {
    $('sheet-title').textContent = title;
    $('sheet-text').textContent = JSON.stringify(value, null, 2);
    $('sheet-acts').replaceChildren(...(acts || []));
    if (!$('sheet').open) $('sheet').showModal();
}

// The reason that was given ("" without one); null: no.
function sure(text, reason) {
    $('ask-text').textContent = text;
    $('ask-label').hidden = !reason;
    $('ask-reason').value = '';
    $('ask').returnValue = 'no';
    $('ask').showModal();
    return new Promise(done => $('ask').addEventListener('close', () =>
        done($('ask').returnValue === 'yes' ? $('ask-reason').value : null),
        { once: true }));
}

// Asks, does it, says what came of it, and looks again.
async function act(question, path, body, reason) {
    const why = question ? await sure(question, reason) : '';
    if (why === null) return;
    if (reason && why) body = { ...body, reason: why };
    try {
        const r = await (path.startsWith('DELETE ')
            ? ask('DELETE', path.slice(7), undefined, 20) : post(path, body));
        if ($('sheet').open) $('sheet').close();
        say('Done: ' + JSON.stringify(r));
        setTimeout(look, 400);
    } catch (e) {
        say(e.message, true);
    }
}

// --- views ------------------------------------------------------------------

function byQueue(pool) {
    const queues = new Map();
    for (const p of pool.partitions) {
        const name = p.partition.split('.')[0];
        const q = queues.get(name) || { name, waiting: 0, delayed: 0, dead: 0,
            oldest: 0 };
        q.waiting += p.high + p.normal + p.low;
        q.delayed += p.delayed;
        q.dead += p.dead;
        q.oldest = Math.max(q.oldest, p.oldest_seconds);
        queues.set(name, q);
    }
    return [...queues.values()].sort((a, b) => a.name < b.name ? -1 : 1);
}

const ended = t => t.succeeded + t.failed + t.dead + t.cancelled;

function measure(pool) {
    if (before) {
        const s = (Date.parse(pool.at) - Date.parse(before.at)) / 1000;
        const was = new Map(before.types.map(t => [t.type, ended(t)]));
        const sums = { all: 0 };
        for (const t of pool.types) {
            const n = Math.max(0, ended(t) - (was.get(t.type) || 0));
            rates[t.type] = s > 0 ? n / s : 0;
            sums.all += rates[t.type];
            sums['queue ' + t.queue] = (sums['queue ' + t.queue] || 0)
                + rates[t.type];
        }
        Object.assign(rates, sums);
    }
    before = pool;
}

const rate = name => name in rates ? rates[name].toFixed(rates[name] < 10
    ? 1 : 0) + '/s' : '–';

function pauser(kind, name, held) {
    const p = held.get(kind + ' ' + name);
    return p
        ? el('div', { class: 'acts' }, el('span', { class: 'badge',
            title: [p.by, p.reason].filter(Boolean).join(': ') },
            'paused ', since(p.since)),
            button('Resume', () => act('Let ' + name + ' go on?',
                API + '/resume', { name })))
        : button('Pause', () => act('Start nothing of ' + name
            + ' until it is resumed?', API + '/pause', { name }, true));
}

async function live() {
    const [pool, paused] = await Promise.all([get(API + '/pool'),
        get(API + '/paused')]);
    measure(pool);
    return { pool, paused: paused.items,
        held: new Map(paused.items.map(p => [p.kind + ' ' + p.name, p])) };
}

const views = {
    async queues() {
        const { pool, held } = await live();
        const queues = byQueue(pool);
        const sum = f => queues.reduce((n, q) => n + f(q), 0);
        return [
            cards([['jobs a second', rate('all')],
                ['in streams', number(sum(q => q.waiting))],
                ['delayed', number(sum(q => q.delayed))],
                ['dead', number(sum(q => q.dead)),
                    sum(q => q.dead) ? 'bad' : ''],
                ['oldest', span(Math.max(0, ...queues.map(q => q.oldest)))],
                ['waited for a slot', span(pool.slot_wait_seconds)]]),
            table('Queues', [
                ['Queue', q => q.name],
                ['In streams', q => number(q.waiting), 'n'],
                ['Oldest', q => span(q.oldest), 'n'],
                ['Delayed', q => number(q.delayed), 'n'],
                ['Dead', q => q.dead ? el('a', { href: '#dead?queue=' + q.name,
                    class: 'bad' }, number(q.dead)) : '0', 'n'],
                ['Rate', q => rate('queue ' + q.name), 'n'],
                ['', q => pauser('queue', q.name, held)]
            ], queues, q => held.has('queue ' + q.name) ? 'held' : ''),
            el('h2', {}, 'Partitions'),
            table('Partitions and their owners', [
                ['Partition', p => p.partition],
                ['Owner', p => 'process ' + p.process],
                ['Fence', p => p.fence, 'n'],
                ['High', p => number(p.high), 'n'],
                ['Normal', p => number(p.normal), 'n'],
                ['Low', p => number(p.low), 'n'],
                ['Delayed', p => number(p.delayed), 'n'],
                ['Dead', p => number(p.dead), 'n'],
                ['Oldest', p => span(p.oldest_seconds), 'n']
            ], pool.partitions)
        ];
    },

    async types() {
        const { pool, held } = await live();
        const shown = pool.types.filter(t => ended(t) || t.retrying
            || held.has('type ' + t.type));
        const rest = pool.types.filter(t => !shown.includes(t));
        const columns = [
            ['Type', t => t.type],
            ['Queue', t => t.queue],
            ['Rate', t => rate(t.type), 'n'],
            ['Succeeded', t => number(t.succeeded), 'n'],
            ['Retries', t => number(t.retrying), 'n'],
            ['Failed', t => number(t.failed), 'n'],
            ['Dead', t => t.dead ? el('span', { class: 'bad' }, number(t.dead))
                : '0', 'n'],
            ['p50', t => span(t.p50), 'n'],
            ['p95', t => span(t.p95), 'n'],
            ['p99', t => span(t.p99), 'n'],
            ['', t => /^(operator|dead)\./.test(t.type) ? null
                : pauser('type', t.type, held)]];
        const mark = t => held.has('type ' + t.type)
            || held.has('queue ' + t.queue) ? 'held' : '';
        return [table('Types that ran since the pool began', columns, shown,
            mark), el('h2', {}, 'Others'),
            table('Types that did not', [columns[0], columns[1], columns[10]],
                rest, mark)];
    },

    async pool() {
        const { pool } = await live();
        const jobs = pool.processes.flatMap(p => p.running.map(j =>
            ({ ...j, process: p.process })));
        return [
            table('Processes', [
                ['Process', p => p.process], ['pid', p => p.pid, 'n'],
                ['Slots', p => p.running.length + ' of ' + p.slots, 'n'],
                ['Wait outside', p => number(p.asking), 'n'],
                ['In memory', p => number(p.in_memory), 'n'],
                ['Ran', p => number(p.ran), 'n'],
                ['Restarts', p => number(p.restarts), 'n'],
                ['Partitions', p => pool.partitions.filter(x =>
                    x.process === p.process).length, 'n']
            ], pool.processes),
            el('h2', {}, 'In the slots'),
            table('Jobs that run now', [
                ['Process', j => j.process], ['Slot', j => j.slot, 'n'],
                ['Type', j => j.type], ['For', j => span(j.seconds), 'n'],
                ['Job', j => j.job, 'id'],
                ['', j => button('Show', () => show(j.job))]
            ], jobs)
        ];
    },

    async jobs(q) {
        const body = Object.fromEntries(['state', 'queue', 'type', 'sub']
            .filter(k => q.get(k)).map(k => [k, q.get(k)]));
        if (q.get('older')) body.older = Number(q.get('older'));
        const form = filter('jobs', q, [
            ['state', ['', 'queued', 'scheduled', 'running', 'retrying']],
            ['queue'], ['type'], ['sub'], ['older', null, 'Older (s)']]);
        const list = await post(API + '/jobs', { ...body, limit: 200 });
        return [form,
            Object.keys(body).length ? button('Call these off', () =>
                act('Call off all jobs of this filter?', API + '/jobs/cancel',
                    body)) : null,
            table(list.complete ? 'Jobs' : 'Some of the jobs: there are more', [
                ['State', j => j.state + (j.called_off ? ', called off' : '')],
                ['Type', j => j.type], ['Attempts', j => j.attempts, 'n'],
                ['Since', j => since(j.updated_at)],
                ['Due', j => when(j.due_at)],
                ['Error', j => j.error ? j.error.message : ''],
                ['Job', j => j.id, 'id'],
                ['', j => button('Show', () => show(j.id))]
            ], list.items)];
    },

    async dead(q) {
        const args = new URLSearchParams([...q].filter(([k, v]) => v
            && /^(queue|type|cause|sub|cursor)$/.test(k)));
        args.set('limit', '50');
        const form = filter('dead', q, [['queue'], ['type'], ['cause'],
            ['sub']]);
        const list = await get('/api/v1/dead?' + args);
        const some = Object.fromEntries([...args].filter(([k]) =>
            k !== 'limit' && k !== 'cursor'));
        const all = Object.keys(some).length ? some : { all: true };
        const next = new URLSearchParams(args);
        if (list.next_cursor) next.set('cursor', list.next_cursor);
        return [form,
            el('div', { class: 'acts' },
                button('Requeue all of these', () => act('Run all dead letters '
                    + 'of this filter again?', '/api/v1/dead/requeue', all)),
                button('Drop all of these', () => act('Forget all dead letters '
                    + 'of this filter?', '/api/v1/dead/drop', all))),
            table('Dead letters', [
                ['Died', d => when(d.died_at)], ['Type', d => d.type],
                ['Attempts', d => d.attempts, 'n'], ['Cause', d => d.cause],
                ['Last error', d => d.last_error
                    ? d.last_error.message || String(d.last_error) : ''],
                ['Job', d => d.job, 'id'],
                ['', d => el('div', { class: 'acts' },
                    button('Show', () => letter(d)), letterActs(d))]
            ], list.items),
            list.next_cursor ? el('p', {}, el('a', { href: '#dead?' + next },
                'Older ones')) : null];
    },

    async sagas(q) {
        const state = q.get('state');
        const list = await get(API + '/sagas?limit=100'
            + (state ? '&state=' + encodeURIComponent(state) : ''));
        return [filter('sagas', q, [['state', ['', 'running', 'undoing',
            'stuck', 'done', 'undone', 'closed']]]),
            table('Sagas', [
                ['Saga', s => s.name],
                ['State', s => el('span', { class: s.state === 'stuck'
                    ? 'badge bad' : '' }, s.state)],
                ['Since', s => since(s.updated_at)], ['Type', s => s.type],
                ['Error', s => s.error ? s.error.message || s.error.code : ''],
                ['Id', s => s.id, 'id'],
                ['', s => el('div', { class: 'acts' },
                    button('Show', () => saga(s)), sagaActs(s))]
            ], list.items, s => s.state === 'stuck' ? 'held' : '')];
    },

    async schedules() {
        const [{ pool }, list] = await Promise.all([live(),
            get(API + '/schedules')]);
        const known = new Map(list.items.map(s => [s.name, s]));
        const rows = pool.schedules.map(s => ({ ...known.get(s.name), ...s }));
        const steer = (s, act_, text) => act(text, API + '/schedules/act',
            { name: s.name, act: act_ });
        return [table('Schedules', [
            ['Name', s => s.name], ['Cron', s => s.cron],
            ['Zone', s => s.timezone], ['Type', s => s.type],
            ['Last', s => when(s.last_fire)],
            ['Next', s => s.paused ? el('span', { class: 'badge' }, 'paused')
                : when(s.next)],
            ['Fired', s => number(s.fired), 'n'],
            ['Left out', s => number(s.skipped), 'n'],
            ['', s => el('div', { class: 'acts' },
                button('Run now', () => steer(s, 'run', 'Run ' + s.name
                    + ' now?')),
                s.paused ? button('Resume', () => steer(s, 'resume'))
                    : button('Pause', () => steer(s, 'pause', 'Let ' + s.name
                        + ' rest?')))]
        ], rows, s => s.paused ? 'held' : '')];
    },

    async breakers() {
        const { pool } = await live();
        return [table('Breakers of calls to the outside', [
            ['Destination', d => d.destination],
            ['Process', d => d.process],
            ['State', d => el('span', { class: d.state === 'closed' ? 'good'
                : 'badge bad' }, d.state)],
            ['Until', d => when(d.until)],
            ['Under way', d => number(d.active), 'n'],
            ['Good', d => number(d.good), 'n'], ['Bad', d => number(d.bad), 'n'],
            ['Refused', d => number(d.refused), 'n'],
            ['Opened', d => number(d.opened), 'n']
        ], pool.destinations)];
    }
};

const LIVE = new Set(['queues', 'types', 'pool', 'breakers']);

function filter(view, q, fields) {
    const inputs = fields.map(([name, options, label]) => el('label', {},
        label || name[0].toUpperCase() + name.slice(1), options
            ? el('select', { name }, options.map(o => el('option', { value: o,
                selected: q.get(name) === o }, o || 'any')))
            : el('input', { name, value: q.get(name) || '', size: 16,
                autocomplete: 'off' })));
    return el('form', { class: 'filter', onsubmit: e => {
        e.preventDefault();
        const args = new URLSearchParams([...new FormData(e.target)]
            .filter(([, v]) => v));
        const hash = '#' + view + (String(args) ? '?' + args : '');
        if (location.hash === hash) look();
        else location.hash = hash;          // which looks, too
    } }, inputs, el('button', { class: 'go' }, 'Look'));
}

async function show(job) {
    try {
        const list = await post(API + '/jobs', { job });
        const one = list.items[0];
        if (!one) {
            say(job + ' is in no queue any more');
            return;
        }
        sheet(job, one, [
            /^(scheduled|retrying)$/.test(one.state) ? button('Now', () =>
                act(null, API + '/jobs/now', { job })) : null,
            button('Call off', () => act('Call off ' + job + '?',
                API + '/jobs/cancel', { job }))].filter(Boolean));
    } catch (e) {
        say(e.message, true);
    }
}

const letterActs = d => [
    button('Requeue', () => act(null, '/api/v1/dead/' + d.job + '/requeue',
        {})),
    button('Drop', () => act('Forget ' + d.job + '?',
        'DELETE /api/v1/dead/' + d.job))];

async function letter(d) {
    try {
        sheet(d.job, await get('/api/v1/dead/' + d.job), letterActs(d));
    } catch (e) {
        say(e.message, true);
    }
}

// None of one that is over.
const sagaActs = s => !/^(running|undoing|stuck)$/.test(s.state) ? []
    : [['Resume', 'resume', 'Take it up where it was?'],
        ['Undo', 'compensate', 'Undo what it has done?'],
        ['Close', 'close', 'Was it settled by hand?']].map(
        ([text, how, question]) => button(text, () => act(question,
            API + '/sagas/' + s.id, { act: how })));

async function saga(s) {
    try {
        sheet(s.name + ' ' + s.id, await get(API + '/sagas/' + s.id),
            sagaActs(s));
    } catch (e) {
        say(e.message, true);
    }
}

// --- turns ------------------------------------------------------------------

function place() {
    const [name, args] = location.hash.slice(1).split('?');
    return [name in views ? name : 'queues', new URLSearchParams(args || '')];
}

async function look() {
    clearTimeout(timer);
    const mine = ++turn;
    const [name, q] = place();
    if (!token) { leave(); return; }
    try {
        const parts = await views[name](q);
        if (mine !== turn) return;
        draw(parts.flat().filter(Boolean));
        if ($('status').className === 'bad' || LIVE.has(name)) {
            say('As of ' + new Date().toLocaleTimeString());
        }
    } catch (e) {
        if (mine !== turn) return;
        say(e.message, true);
    }
    if (LIVE.has(name) && token) timer = setTimeout(beat, EVERY);
}

// While somebody selects text, is in a dialog or elsewhere, nothing moves.
function beat() {
    const picked = String(getSelection()).length > 0;
    if (document.hidden || picked || document.querySelector('dialog[open]')) {
        timer = setTimeout(beat, EVERY);
    } else {
        look();
    }
}

// The focus stays on the same control, and what is scrolled stays so.
function draw(parts) {
    const view = $('view');
    const all = () => [...view.querySelectorAll('a,button,input,select,[tabindex]')];
    const at = all().indexOf(document.activeElement);
    const left = [...view.querySelectorAll('.wide')].map(w => w.scrollLeft);
    view.replaceChildren(...parts);
    view.querySelectorAll('.wide').forEach((w, i) => {
        w.scrollLeft = left[i] || 0;
    });
    if (at >= 0) (all()[at] || view).focus();
}

function enter() {
    const [name] = place();
    $('enter').hidden = true;
    $('view').hidden = false;
    $('leave').hidden = false;
    for (const a of document.querySelectorAll('nav a')) {
        if (a.hash === '#' + name) a.setAttribute('aria-current', 'page');
        else a.removeAttribute('aria-current');
    }
    document.title = name + ' – operators';
    look();
}

function leave() {
    clearTimeout(timer);
    token = '';
    sessionStorage.removeItem('operator-token');
    $('enter').hidden = false;
    $('view').hidden = true;
    $('view').replaceChildren();
    $('leave').hidden = true;
    $('token').focus();
}

$('enter').addEventListener('submit', e => {
    e.preventDefault();
    token = $('token').value.trim();
    $('token').value = '';
    sessionStorage.setItem('operator-token', token);
    enter();
});
$('leave').addEventListener('click', () => { turn++; leave(); say(''); });
addEventListener('hashchange', () => {
    if (token) {
        $('view').replaceChildren(el('p', { class: 'soft' }, 'Looking…'));
        say('');
        enter();
        $('main').focus();
    }
});
if (token) enter(); else leave();
