/* Only in the library for other machines: a software model of the video chip, as far as the game uses
   it: plane B behind plane A, line scrolling, sprites with the chip's limits on a line, priorities.

   A pixel is a byte: the colour's number in the palette (line * 16 + colour), 0 where nothing is
   drawn, and FRONT for high priority. Tiles are decoded once, into rows of 8 such bytes. */
#include "view.h"
#include "pictures.h"

#define ZONES 6
#define TILES (PLANE_A / 32)
#define FRONT 0x40
#define SPRITES_OF_LINE 20
#define PIXELS_OF_LINE 320 /* of sprites, their hidden and transparent ones included */
#define MARGIN 32          /* pixels left and right of a line that sprites and blocks may stick out */

#define SMALL 64
#define ACROSS (SCREEN_W / SMALL) /* 5 pixels become one; downward 3.5, so 7 lines become two */
#define LINES 7
#define CHANNELS 4 /* red, green, blue, nothing */

typedef u8 Row[8];
typedef u8 v8 __attribute__((vector_size(8)));
typedef u8 v16 __attribute__((vector_size(16)));
typedef u8 BlockPixels[16][16];

static struct Zone {
    Row tiles[TILES][8];
    u8 back[256][512];   /* plane B */
    BlockPixels *blocks; /* every block, in every state of the animations */
    u8 rgb[128][4];
    u64 packed[128];     /* rgb as CHANNELS numbers of 16 bits */
} zones[ZONES];

static Row player[(PLAYER_WIN + PLAYER_WIN_COUNT) * 16][8];

/* ---- decoding ---- */

static void decode_tiles(Row (*out)[8], const u32 *data, u32 count)
{
    u32 i, x;
    for (i = 0; i < count * 8; i++)
        for (x = 0; x < 8; x++)
            out[i >> 3][i & 7][x] = data[i] >> (28 - 4 * x) & 15;
}

/* The number of an animation's picture: it is sent when the clock is `number` beyond a multiple of
   1 << shift (video_send). */
static u16 animation_picture(const struct Animation *a, u16 number, u16 clock)
{
    return (u16)(clock - number) >> a->shift & (a->frames - 1);
}

/* All animations' pictures as one number; `state_count` is how many there are. */
static u32 animation_state(const struct ZoneArt *art, u16 clock)
{
    u32 state = 0;
    u16 i;
    for (i = art->n_animations; i-- > 0;)
        state = state * art->animations[i].frames + animation_picture(&art->animations[i], i, clock);
    return state;
}

static u32 state_count(const struct ZoneArt *art)
{
    u32 count = 1;
    u16 i;
    for (i = 0; i < art->n_animations; i++)
        count *= art->animations[i].frames;
    return count;
}

/* Put the tiles that the animations show in a state in the place of theirs. */
static void animate(Row (*tiles)[8], const struct ZoneArt *art, u32 state)
{
    u16 i;
    for (i = 0; i < art->n_animations; i++) {
        const struct Animation *a = &art->animations[i];
        u32 picture = state % a->frames;
        state /= a->frames;
        decode_tiles(tiles + a->tile, a->data + picture * a->count * 8, a->count);
    }
}

/* A cell of a name table: its tile turned and coloured, 8 x 8 pixels. */
static void draw_cell(u8 *out, u32 stride, Row (*tiles)[8], u16 cell)
{
    u8 color = (cell >> 13 & 3) << 4 | (cell & 0x8000 ? FRONT : 0);
    u32 x, y;
    for (y = 0; y < 8; y++, out += stride)
        for (x = 0; x < 8; x++) {
            u8 pixel = tiles[cell & 0x7FF][cell & 0x1000 ? 7 - y : y][cell & 0x0800 ? 7 - x : x];
            out[x] = pixel ? pixel | color : 0;
        }
}

static void decode_blocks(struct Zone *zone, const struct ZoneArt *art)
{
    u32 state, block, states = state_count(art);
    zone->blocks = __builtin_malloc(states * BLOCK_COUNT * sizeof(BlockPixels));
    for (state = 0; state < states; state++) {
        animate(zone->tiles, art, state);
        for (block = 0; block < BLOCK_COUNT; block++) {
            u8 *out = zone->blocks[state * BLOCK_COUNT + block][0];
            const u16 *cells = art->blocks[block];
            draw_cell(out, 16, zone->tiles, cells[0]);
            draw_cell(out + 8, 16, zone->tiles, cells[1]);
            draw_cell(out + 128, 16, zone->tiles, cells[2]);
            draw_cell(out + 136, 16, zone->tiles, cells[3]);
        }
    }
}

/* A colour as the emulator shows it: 3 bits a channel, stretched to the 5, 6 and 5 bits of its screen,
   which stable-retro shifts up to 8. */
static void decode_palette(struct Zone *zone, const u16 *palette)
{
    u16 wide[CHANNELS] = {0};
    u32 i, channel;
    for (i = 0; i < 128; i++) { /* with FRONT and without */
        u16 color = palette[i & 63], r = color & 14, g = color >> 4 & 14, b = color >> 8 & 14;
        zone->rgb[i][0] = (r << 1 | r >> 3) << 3;
        zone->rgb[i][1] = (g << 2 | g >> 2) << 2;
        zone->rgb[i][2] = (b << 1 | b >> 3) << 3;
        for (channel = 0; channel < 3; channel++)
            wide[channel] = zone->rgb[i][channel];
        __builtin_memcpy(&zone->packed[i], wide, sizeof wide);
    }
}

/* Once, before the first picture. */
void screen_start(void)
{
    u32 i, cell;
    decode_tiles(player, player_tiles, (PLAYER_WIN + PLAYER_WIN_COUNT) * 16);
    for (i = 0; i < ZONES; i++) {
        struct Zone *zone = &zones[i];
        const struct ZoneArt *art = &zone_art[i];
        decode_tiles(zone->tiles + 1, common_tiles, common_tile_count);
        decode_tiles(zone->tiles + art->first_tile, art->tiles, art->tile_count);
        for (cell = 0; cell < 64 * 32; cell++)
            draw_cell(&zone->back[(cell >> 6) * 8][(cell & 63) * 8], 512, zone->tiles,
                      art->background[cell]);
        decode_blocks(zone, art);
        decode_palette(zone, art->palette);
    }
}

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
        const u8 *tiles = tile == PLAYER_TILE ? player[view->player_frame * 16][0]
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
static void draw_planes(const struct View *view, const struct Zone *zone, BlockPixels *blocks,
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
    BlockPixels *blocks;
    struct Lists lists;
};

static void begin(struct Screen *p, const struct View *view, u8 zone)
{
    p->view = view;
    p->zone = &zones[zone];
    p->blocks = p->zone->blocks + animation_state(&zone_art[zone], view->clock) * BLOCK_COUNT;
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
