/* A quota claim as text and back. */

#include "quota_claim.h"
#include "base64url.h"


#define CLAIM_VERSION  1
#define CLAIM_FIXED    (1 + 5 * 8 + 4 * 4 + TRAVEL_QUOTA_CLAIM_MARKS)
#define CLAIM_BYTES    (CLAIM_FIXED + TRAVEL_QUOTA_CLAIM_KEY)


static uint8_t *
claim_put(uint8_t *p, uint64_t v, size_t bytes)
{
    size_t  i;

    for (i = 0; i < bytes; i++) {
        p[i] = (uint8_t) (v >> (8 * (bytes - 1 - i)));
    }

    return p + bytes;
}


static uint64_t
claim_get(const uint8_t **p, size_t bytes)
{
    size_t    i;
    uint64_t  v;

    for (v = 0, i = 0; i < bytes; i++) {
        v = v << 8 | (*p)[i];
    }

    *p += bytes;

    return v;
}


size_t
travel_quota_claim_format(char *dst, const travel_quota_claim_t *claim)
{
    uint8_t  *p, raw[CLAIM_BYTES];

    p = claim_put(raw, CLAIM_VERSION, 1);
    p = claim_put(p, claim->node, 8);
    p = claim_put(p, claim->policy, 8);
    p = claim_put(p, claim->hash, 8);
    p = claim_put(p, claim->at, 8);
    p = claim_put(p, claim->shared_at, 8);
    p = claim_put(p, claim->born, 4);
    p = claim_put(p, claim->cost, 4);
    p = claim_put(p, claim->day, 4);
    p = claim_put(p, claim->left, 4);

    memcpy(p, claim->marks, TRAVEL_QUOTA_CLAIM_MARKS);
    p += TRAVEL_QUOTA_CLAIM_MARKS;

    memcpy(p, claim->key, claim->key_len);
    p += claim->key_len;

    dst[0] = claim->more ? TRAVEL_QUOTA_CLAIM_MORE
                         : TRAVEL_QUOTA_CLAIM_RESERVED;

    return 1 + travel_base64url_encode(dst + 1, raw, (size_t) (p - raw));
}


int
travel_quota_claim_parse(travel_quota_claim_t *ret_claim, travel_str_t text)
{
    size_t                 len;
    uint8_t                raw[TRAVEL_QUOTA_CLAIM_MAX];
    const uint8_t         *p;
    travel_quota_claim_t   claim;

    if (text.len < 1 || text.len > TRAVEL_QUOTA_CLAIM_MAX
        || (text.data[0] != TRAVEL_QUOTA_CLAIM_RESERVED
            && text.data[0] != TRAVEL_QUOTA_CLAIM_MORE)
        || travel_base64url_decode(raw, &len,
                                   (travel_str_t) { text.data + 1,
                                                    text.len - 1 })
           != TRAVEL_OK
        || len < CLAIM_FIXED || len > CLAIM_BYTES || raw[0] != CLAIM_VERSION)
    {
        return TRAVEL_INVALID;
    }

    memset(&claim, 0, sizeof(claim));
    p = raw + 1;

    claim.node = claim_get(&p, 8);
    claim.policy = claim_get(&p, 8);
    claim.hash = claim_get(&p, 8);
    claim.at = claim_get(&p, 8);
    claim.shared_at = claim_get(&p, 8);
    claim.born = (uint32_t) claim_get(&p, 4);
    claim.cost = (uint32_t) claim_get(&p, 4);
    claim.day = (uint32_t) claim_get(&p, 4);
    claim.left = (uint32_t) claim_get(&p, 4);

    memcpy(claim.marks, p, TRAVEL_QUOTA_CLAIM_MARKS);
    p += TRAVEL_QUOTA_CLAIM_MARKS;

    claim.key_len = len - CLAIM_FIXED;
    memcpy(claim.key, p, claim.key_len);
    claim.more = text.data[0] == TRAVEL_QUOTA_CLAIM_MORE;

    *ret_claim = claim;
    return TRAVEL_OK;
}
