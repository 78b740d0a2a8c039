/* Only in the library for other machines: a software model of the video chip, as far as the game uses
   it: plane B behind plane A, line scrolling, sprites with the chip's limits on a line, priorities. */
#include "screen.h"
#include "pictures.h"

#define SPRITES_OF_LINE 20
#define PIXELS_OF_LINE 320 /* of sprites, their hidden and transparent ones included */
#define MARGIN 32          /* pixels left and right of a line that sprites and blocks may stick out */

#define SMALL 64
#define ACROSS (SCREEN_W / SMALL) /* 5 pixels become one; downward 3.5, so 7 lines become two */
#define LINES 7

typedef u8 v8 __attribute__((vector_size(8)));
typedef u8 v16 __attribute__((vector_size(16)));

/* ---- a line ---- */

/* The sprites of every line, as many as the chip draws. */
struct Lists {
    u8 count[SCREEN_H];
    u16 pixels[SCREEN_H]; /* more than PIXELS_OF_LINE: the last sprite loses the rest */
    u8 sprites[SCREEN_H][SPRITES_OF_LINE];
};

static void list_sprites(const struct View *view, struct Lists *lists)
{
    s32 i, line;
    __builtin_memset(lists->count, 0, sizeof lists->count);
    __builtin_memset(lists->pixels, 0, sizeof lists->pixels);
    for (i = 0; i < view->sprite_count; i++) {
        const u16 *entry = &view->sprite_table[i * 4];
        s32 top = entry[0] - 128, height = ((entry[1] >> 8 & 3) + 1) * 8;
        s32 width = ((entry[1] >> 10 & 3) + 1) * 8;
        s32 last = top + height < SCREEN_H ? top + height : SCREEN_H;
        for (line = top < 0 ? 0 : top; line < last; line++) {
            if (lists->count[line] == SPRITES_OF_LINE || lists->pixels[line] >= PIXELS_OF_LINE)
                continue;
            lists->sprites[line][lists->count[line]++] = i;
            lists->pixels[line] += width;
        }
    }
}

/* Draw a line's sprites into `out`, which is empty; those that come first lie on top. */
static void draw_sprites(const struct View *view, const struct Zone *zone, const struct Lists *lists,
                         s32 line, u8 *out)
{
    s32 i, column, count = lists->count[line];
    s32 over = lists->pixels[line] - PIXELS_OF_LINE;
    for (i = 0; i < count; i++) {
        const u16 *entry = &view->sprite_table[lists->sprites[line][i] * 4];
        s32 y = line - (entry[0] - 128), x = entry[3] - 128;
        s32 rows = (entry[1] >> 8 & 3) + 1, columns = (entry[1] >> 10 & 3) + 1;
        s32 shown = i == count - 1 && over > 0 ? columns - over / 8 : columns;
        u16 tile = entry[2] & 0x7FF, flipped = entry[2] & 0x0800;
        u8 bits = (entry[2] >> 13 & 3) << 4 | (entry[2] & 0x8000 ? FRONT : 0);
        const u8 *tiles = tile == PLAYER_TILE ? player_rows[view->player_frame * 16][0]
                                              : zone->tiles[tile][0];
        for (column = 0; column < shown; column++) {
            s32 number = (flipped ? columns - 1 - column : column) * rows + (y >> 3);
            const u8 *row = tiles + number * 64 + (y & 7) * 8;
            u8 *to = out + x + column * 8;
            u64 pixels;
            v8 new, old;
            __builtin_memcpy(&pixels, row, 8);
            if (!pixels)
                continue;
            if (flipped)
                pixels = __builtin_bswap64(pixels);
            __builtin_memcpy(&new, &pixels, 8);
            __builtin_memcpy(&old, to, 8);
            new |= (v8)(new != 0) & bits;
            old |= (v8)(old == 0) & new;
            __builtin_memcpy(to, &old, 8);
        }
    }
}

/* Draw a line of both planes. */
static void draw_planes(const struct View *view, const struct Zone *zone, const BlockPixels *blocks,
                        s32 line, u8 *out)
{
    u32 scroll = view->scroll[line], start = -scroll & 511, x, column;
    u32 y = (line + view->scroll_y[1]) & 255, first = 512 - start;
    const u8 *back = zone->back[y], *row;
    if (first > SCREEN_W)
        first = SCREEN_W;
    __builtin_memcpy(out, back + start, first);
    __builtin_memcpy(out + first, back, SCREEN_W - first);
    start = -(scroll >> 16) & 511;
    y = (line + view->scroll_y[0]) & 255;
    row = view->plane + (y >> 4) * PLANE_COLUMNS;
    out -= start & 15;
    for (x = 0, column = start >> 4; x <= SCREEN_W; x += 16, column++) {
        u8 block = row[column & (PLANE_COLUMNS - 1)];
        v16 behind, pixels;
        if (!block)
            continue;
        __builtin_memcpy(&pixels, blocks[block][y & 15], 16);
        __builtin_memcpy(&behind, out + x, 16);
        behind = (behind & (v16)(pixels == 0)) | pixels;
        __builtin_memcpy(out + x, &behind, 16);
    }
}

/* What all lines of a picture share. */
struct Screen {
    const struct View *view;
    const struct Zone *zone;
    const BlockPixels *blocks;
    struct Lists lists;
};

static void begin(struct Screen *p, const struct View *view, u8 zone)
{
    p->view = view;
    p->zone = &zones[zone];
    p->blocks = animated_blocks(zone, view->clock);
    list_sprites(view, &p->lists);
}

/* A line's pixels. `buffer` has MARGIN pixels more on both sides. Returns the line in it. */
static const u8 *draw_line(const struct Screen *p, s32 line, u8 *buffer)
{
    u8 *out = buffer + MARGIN, sprites[MARGIN + SCREEN_W + MARGIN];
    s32 x;
    draw_planes(p->view, p->zone, p->blocks, line, out);
    if (!p->lists.count[line])
        return out;
    __builtin_memset(sprites, 0, sizeof sprites);
    draw_sprites(p->view, p->zone, &p->lists, line, sprites + MARGIN);
    for (x = 0; x < SCREEN_W; x++) {
        u8 s = sprites[MARGIN + x], plane = out[x];
        out[x] = s == 0 || (plane & ~s & FRONT) ? plane : s;
    }
    return out;
}

/* ---- pictures ---- */

/* The whole picture, RGB. */
void screen_full(const struct View *view, u8 zone, u8 *out)
{
    struct Screen p;
    u8 buffer[MARGIN + SCREEN_W + MARGIN];
    s32 line, x;
    begin(&p, view, zone);
    for (line = 0; line < SCREEN_H; line++) {
        const u8 *pixels = draw_line(&p, line, buffer);
        for (x = 0; x < SCREEN_W; x++, out += 3)
            __builtin_memcpy(out, p.zone->rgb[pixels[x]], 3);
    }
}

/* One line's sums of ACROSS pixels, every channel, into `sums`. */
static void add_up(const struct Screen *p, s32 line, u16 *sums)
{
    u8 buffer[MARGIN + SCREEN_W + MARGIN];
    const u8 *pixels = draw_line(p, line, buffer);
    const u64 *packed = p->zone->packed;
    s32 x;
    for (x = 0; x < SMALL; x++, pixels += ACROSS, sums += CHANNELS) {
        u64 sum = packed[pixels[0]] + packed[pixels[1]] + packed[pixels[2]] + packed[pixels[3]]
                + packed[pixels[4]];
        __builtin_memcpy(sums, &sum, sizeof sum);
    }
}

/* Sums of ACROSS * LINES half pixels to means. (No mean lies in the middle between two whole numbers,
   so they are rounded as cv2's INTER_AREA rounds its fractions.) */
static u8 *write_means(const u16 *sums, u8 *out)
{
    u8 means[SMALL * CHANNELS];
    s32 i;
    for (i = 0; i < SMALL * CHANNELS; i++)
        means[i] = (u16)(sums[i] * 2 + ACROSS * LINES) / (2 * ACROSS * LINES);
    for (i = 0; i < SMALL; i++, out += 3)
        __builtin_memcpy(out, means + i * CHANNELS, 3);
    return out;
}

/* The picture shrunk to SMALL x SMALL, each pixel the mean of its area. The middle one of LINES lines
   lies half in the upper and half in the lower row. */
void screen_small(const struct View *view, u8 zone, u8 *out)
{
    struct Screen p;
    u16 sums[SMALL * CHANNELS], rows[2][SMALL * CHANNELS];
    s32 line, i, x;
    begin(&p, view, zone);
    for (line = 0; line < SCREEN_H; line += LINES) {
        __builtin_memset(rows, 0, sizeof rows);
        for (i = 0; i < LINES; i++) {
            add_up(&p, line + i, sums);
            if (i == LINES / 2)
                for (x = 0; x < SMALL * CHANNELS; x++) {
                    rows[0][x] += sums[x];
                    rows[1][x] += sums[x];
                }
            else
                for (x = 0; x < SMALL * CHANNELS; x++)
                    rows[i > LINES / 2][x] += sums[x] * 2;
        }
        out = write_means(rows[0], out);
        out = write_means(rows[1], out);
    }
}
