/* Responses. CHTTPDaemon.h documents each function. */

#include "CHTTPDaemon.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

static struct MHD_Response *mhd_response(c_httpd_response *response) { return (struct MHD_Response *)response; }

/* Our reader, as the library's callbacks need it. */
struct body {
    c_httpd_reader reader;
    void *context;
    void (*release)(void *context);
};

static ssize_t read_body(void *cls, uint64_t position, char *buffer, size_t capacity) {
    const struct body *body = cls;
    int64_t count = body->reader(body->context, position, (uint8_t *)buffer, capacity);
    /* After 0 the library serves its other connections and asks again. */
    return count >= 0                  ? (ssize_t)count
           : count == C_HTTPD_BODY_END ? MHD_CONTENT_READER_END_OF_STREAM
                                       : MHD_CONTENT_READER_END_WITH_ERROR;
}

static void release_body(void *cls) {
    struct body *body = cls;
    body->release(body->context);
    free(body);
}

static c_httpd_response *response_of_reader(
    uint64_t byte_count, size_t block_size, c_httpd_reader reader, void *context, void (*release)(void *context)) {
    struct body *body = malloc(sizeof *body);
    if (body == NULL) {
        release(context);
        return NULL;
    }
    *body = (struct body){.reader = reader, .context = context, .release = release};
    struct MHD_Response *response =
        MHD_create_response_from_callback(byte_count, block_size, &read_body, body, &release_body);
    if (response == NULL) {
        release_body(body);
    }
    return (c_httpd_response *)response;
}

c_httpd_response *c_httpd_response_of_reader(
    uint64_t byte_count, size_t block_size, c_httpd_reader reader, void *body, void (*release)(void *body)) {
    return response_of_reader(byte_count, block_size, reader, body, release);
}

c_httpd_response *c_httpd_response_of_stream(
    size_t block_size, c_httpd_reader reader, void *body, void (*release)(void *body)) {
    return response_of_reader(MHD_SIZE_UNKNOWN, block_size, reader, body, release);
}

c_httpd_response *c_httpd_response_empty(void) {
    return (c_httpd_response *)MHD_create_response_from_buffer(0, "", MHD_RESPMEM_PERSISTENT);
}

c_httpd_response *c_httpd_response_of_shared_bytes(
    const void *bytes, size_t byte_count, void *owner, void (*release)(void *owner)) {
    /* The library does not write through the pointer, whatever its type says. */
    struct MHD_Response *response =
        MHD_create_response_from_buffer_with_free_callback_cls(byte_count, (void *)bytes, release, owner);
    if (response == NULL) {
        release(owner);
    }
    return (c_httpd_response *)response;
}

/* The reader of a body that is never sent. If the library called it all the same, the connection would be cut. */
static ssize_t read_nothing(void *cls, uint64_t position, char *buffer, size_t capacity) {
    (void)cls;
    (void)position;
    (void)buffer;
    (void)capacity;
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

c_httpd_response *c_httpd_response_unsent(uint64_t byte_count) {
    return (c_httpd_response *)MHD_create_response_from_callback(byte_count, 1, &read_nothing, NULL, NULL);
}

c_httpd_response *c_httpd_response_unsent_of_unknown_size(void) {
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 1, &read_nothing, NULL, NULL);
    /* Without this flag a stray last chunk follows the head. */
    if (response != NULL
        && MHD_set_response_options(response, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END) != MHD_YES) {
        MHD_destroy_response(response);
        response = NULL;
    }
    return (c_httpd_response *)response;
}

bool c_httpd_response_add_field(c_httpd_response *response, const char *name, const char *value) {
    return MHD_add_response_header(mhd_response(response), name, value) == MHD_YES;
}

bool c_httpd_response_change_field(c_httpd_response *response, const char *name, const char *value) {
    const char *old = MHD_get_response_header(mhd_response(response), name);
    size_t size = strlen(value);
    if (old == NULL) {
        return false;
    }
    if (strlen(old) == size) {
        memcpy((char *)old, value, size);
        return true;
    }
    return MHD_del_response_header(mhd_response(response), name, old) == MHD_YES
           && c_httpd_response_add_field(response, name, value);
}

bool c_httpd_queue(c_httpd_connection *connection, unsigned int status, c_httpd_response *response) {
    return MHD_queue_response((struct MHD_Connection *)connection, status, mhd_response(response)) == MHD_YES;
}

void c_httpd_response_release(c_httpd_response *response) { MHD_destroy_response(mhd_response(response)); }
