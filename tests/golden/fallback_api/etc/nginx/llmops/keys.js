// What nginx cannot work out of a request by itself.
import crypto from 'crypto';

// The SHA-256 of the bearer token in hex, or '' where there is none worth hashing.
function hash(r) {
    var found = /^Bearer ([!-~]{8,256})$/.exec(r.headersIn['Authorization'] || '');
    return found ? crypto.createHash('sha256').update(found[1]).digest('hex') : '';
}

// Who is counted as one: an IPv4 address, or the first 64 bits of an IPv6 address, as groups without leading zeros.
function network(r) {
    var address = r.remoteAddress;
    if (address.indexOf(':') < 0) {
        return address;
    }
    if (address.indexOf('.') > 0) {
        return address.slice(address.lastIndexOf(':') + 1);
    }
    var halves = address.split('::');
    var groups = halves[0] === '' ? [] : halves[0].split(':');
    var rest = halves.length > 1 && halves[1] !== '' ? halves[1].split(':') : [];
    while (halves.length > 1 && groups.length + rest.length < 8) {
        groups.push('0');
    }
    return groups.concat(rest).slice(0, 4).join(':') + '::/64';
}

// A request as the hosted API takes it: for its own model. What is no JSON goes on as it came, for the API to say so.
function api_body(r) {
    try {
        var asked = JSON.parse(r.requestText);
        asked.model = "big";
        return JSON.stringify(asked);
    } catch (e) {
        return r.requestText || '';
    }
}

export default {hash, network, api_body};
