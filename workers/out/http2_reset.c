/*
 * HTTP/2 streams that have ended are not reset.
 *
 * libcurl 7.88 sends RST_STREAM after each transfer, one whose stream is closed
 * already too.  A server that counts resets, as all have done since the "rapid
 * reset" attacks (CVE-2023-44487; libnghttp2: 1,000 at once, then 33 a second),
 * ends the connection with GOAWAY in the middle of a large batch of pushes, and
 * what was under way is sent twice.
 *
 * This function stands before libnghttp2's own: the linker's order of search
 * gives it to libcurl.  Nobody else in the process speaks HTTP/2.
 */

#include <dlfcn.h>
#include <pthread.h>
#include <nghttp2/nghttp2.h>

typedef int (*http2_reset_pt)(nghttp2_session *session, uint8_t flags,
    int32_t stream_id, uint32_t error_code);

static http2_reset_pt  http2_reset;
static pthread_once_t  http2_reset_once = PTHREAD_ONCE_INIT;


static void
http2_reset_find(void)
{
    http2_reset = (http2_reset_pt) dlsym(RTLD_NEXT,
                                         "nghttp2_submit_rst_stream");
}


int
nghttp2_submit_rst_stream(nghttp2_session *session, uint8_t flags,
    int32_t stream_id, uint32_t error_code)
{
    if (nghttp2_session_find_stream(session, stream_id) == NULL) {
        return 0;
    }

    pthread_once(&http2_reset_once, http2_reset_find);

    return http2_reset != NULL
           ? http2_reset(session, flags, stream_id, error_code)
           : NGHTTP2_ERR_INVALID_STATE;
}
