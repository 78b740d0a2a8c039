/* The video chip (VDP): set-up, and everything sent to it in the vertical blank.

   For other machines (HOST) only that is compiled which fills the buffers. They lie in a world's view
   there, and screen.c shows them. */
#include "video.h"
#include "world.h"
#include "pictures.h"

#define QUEUE 96
#define WINDOW_COLUMNS 23
#define WINDOW_ROWS 16
#define REDRAW_COLUMNS 2 /* a frame, after a teleport */

void plane_jump(void);

#ifdef HOST
#include "view.h"
#define sprite_table current_view->sprite_table
#define sprite_count current_view->sprite_count
#define scroll current_view->scroll
#define scroll_y current_view->scroll_y
#define player_frame current_view->player_frame
#define plane_left current_view->plane_left
#define plane_top current_view->plane_top
#define redraw_column current_view->redraw_column
#define current_zone world.zone

void plane_fill(u16 plane, u16 value)
{
    u16 i;
    (void)plane;
    for (i = 0; i < PLANE_BLOCKS; i++)
        current_view->plane[i] = (u8)value;
}

#else

#define DATA (*(volatile u16 *)0xC00000)
#define DATA32 (*(volatile u32 *)0xC00000)
#define CONTROL (*(volatile u16 *)0xC00004)
#define CONTROL32 (*(volatile u32 *)0xC00004)
#define HV_COUNTER (*(volatile u16 *)0xC00008)

#define WRITE_VRAM(address) (0x40000000UL | ((u32)((address) & 0x3FFF) << 16) | ((u32)(address) >> 14))

volatile u16 vblank_count;

/* Blocks to draw: where, and the two halves. */
static struct Queued { u32 where, top, bottom; } queue[QUEUE];
static struct Queued *next;

static u16 sprite_table[MAX_SPRITES * 4];
static u16 sprite_count;
static u32 scroll[SCREEN_H + 4]; /* plane A, plane B of every line */
static u16 scroll_y[2];
static u16 player_frame, player_sent;
static u8 current_zone;
static const u16 (*zone_blocks)[4];
static u16 animation_clock;

static s16 plane_left, plane_top; /* the window of blocks that plane A holds: 23 x 16 */
static s16 redraw_column;

static void set_register(u16 index, u16 value)
{
    CONTROL = 0x8000 | index << 8 | value;
}

void video_display(u8 on)
{
    set_register(1, on ? 0x74 : 0x34);
}

u16 video_line(void)
{
    return HV_COUNTER >> 8;
}

void tiles_write(u16 tile, const u32 *data, u16 count)
{
    u16 n = count << 3;
    CONTROL32 = WRITE_VRAM((u16)(tile << 5));
    while (n--)
        DATA32 = *data++;
}

void plane_fill(u16 plane, u16 value)
{
    u16 n = 64 * 32;
    CONTROL32 = WRITE_VRAM(plane);
    while (n--)
        DATA = value;
}

void video_start(void)
{
    static const u8 REGISTERS[19] = {0x04, 0x34, 0x30, 0x3C, 0x07, 0x7C, 0x00, 0x00, 0x00, 0x00,
                                     0xFF, 0x03, 0x81, 0x3F, 0x00, 0x02, 0x01, 0x00, 0x00};
    u16 i;
    (void)CONTROL;
    for (i = 0; i < 19; i++)
        set_register(i, REGISTERS[i]);
    CONTROL32 = WRITE_VRAM(0);
    for (i = 0; i < 0x8000; i++)
        DATA = 0;
    CONTROL32 = 0x40000010; /* vertical scroll */
    DATA32 = 0;
    tiles_write(1, common_tiles, common_tile_count);
    *(volatile u8 *)0xA10009 = 0x40; /* pad 1: TH is an output */
    *(volatile u8 *)0xA10003 = 0x40;
}

/* Copy by DMA, in the vertical blank: words from anywhere to VRAM. */
static void dma(const void *from, u16 to, u16 words)
{
    u32 source = (u32)(__UINTPTR_TYPE__)from >> 1;
    u32 command = WRITE_VRAM(to) | 0x80;
    set_register(19, words & 0xFF);
    set_register(20, words >> 8);
    set_register(21, source & 0xFF);
    set_register(22, (u16)source >> 8);
    set_register(23, (source >> 16) & 0x7F);
    CONTROL = command >> 16;
    CONTROL = (u16)command;
}

void video_load_zone(u8 zone)
{
    const struct ZoneArt *art = &zone_art[zone];
    current_zone = zone;
    tiles_write(art->first_tile, art->tiles, art->tile_count);
    CONTROL32 = WRITE_VRAM(PLANE_B);
    {
        const u16 *cell = art->background;
        u16 n = 64 * 32;
        while (n--)
            DATA = *cell++;
    }
    player_sent = 0xFFFF;
    next = queue;
    zone_blocks = art->blocks;
}

/* All colours at brightness 0 (black) to 7 (full). */
void video_fade(u8 level)
{
    const u16 *color = zone_art[current_zone].palette;
    u16 i;
    CONTROL32 = 0xC0000000;
    for (i = 0; i < 64; i++) {
        u16 c = *color++, part = 0, shift;
        for (shift = 1; shift < 12; shift += 4) {
            s16 v = (c >> shift & 7) - (7 - level);
            part |= (v > 0 ? v : 0) << shift;
        }
        DATA = part;
    }
}

void text(s16 column, s16 row, const char *string)
{
    CONTROL32 = WRITE_VRAM((u16)(PLANE_A + ((row << 6) + column) * 2));
    for (; *string; string++) {
        u16 tile = 0;
        if (*string >= 'A' && *string <= 'Z')
            tile = pictures[PIC_LETTERS].tile + *string - 'A';
        else if (*string >= '0' && *string <= '9')
            tile = pictures[PIC_DIGITS].tile + *string - '0';
        DATA = tile | 0x8000;
    }
}

#endif

/* ---- plane A: the level scrolls through it ---- */

/* One block: its place in plane A (64 x 32 cells) and its four cells, as two longs. */
static void queue_cells(u16 offset, u8 block)
{
#ifdef HOST
    if (current_view->queued == QUEUE)
        return;
    current_view->queued++;
    current_view->plane[(offset >> 8) * PLANE_COLUMNS + (offset >> 2 & 31)] = block;
#else
    const u32 *cells = (const u32 *)zone_blocks[block];
    struct Queued *q = next;
    if (q == queue + QUEUE)
        return;
    q->where = WRITE_VRAM(PLANE_A) | (u32)offset << 16;
    q->top = cells[0];
    q->bottom = cells[1];
    next = q + 1;
#endif
}

static u8 outside(s16 column)
{
    return column < 0 || column >= (s16)levels[world.level].columns;
}

static void queue_column(s16 column)
{
    u16 place = (column & 31) << 2, i;
    const u8 *map = &world.map[((u16)column << 5) + plane_top];
    if (outside(column))
        return;
    for (i = plane_top; i < (u16)plane_top + WINDOW_ROWS && i < MAP_ROWS; i++)
        queue_cells(place + ((i & 15) << 8), *map++);
}

static void queue_row(s16 row)
{
    u16 place = (row & 15) << 8;
    s16 column = plane_left < 0 ? 0 : plane_left;
    const u8 *map = &world.map[((u16)column << 5) + row];
    if (row < 0 || row >= MAP_ROWS)
        return;
    for (; column < plane_left + WINDOW_COLUMNS && !outside(column); column++) {
        queue_cells(place + ((column & 31) << 2), *map);
        map += MAP_ROWS;
    }
}

static void send_queue(void)
{
#ifdef HOST
    current_view->queued = 0;
#else
    const struct Queued *q;
    for (q = queue; q != next; q++) {
        CONTROL32 = q->where;
        DATA32 = q->top;
        CONTROL32 = q->where + 0x00800000; /* one row of cells further down */
        DATA32 = q->bottom;
    }
    next = queue;
#endif
}

/* Draw the whole window at once, while the display is off. */
void plane_redraw(void)
{
    plane_jump();
    while (redraw_column < WINDOW_COLUMNS) {
        queue_column(plane_left + redraw_column++);
        send_queue();
    }
}

/* After a teleport: the window is somewhere else, plane_follow draws it over some frames. */
void plane_jump(void)
{
    plane_left = (world.cam_x >> 4) - 1;
    plane_top = world.cam_y >> 4;
    redraw_column = 0;
}

void plane_follow(void)
{
    s16 left = (world.cam_x >> 4) - 1, top = world.cam_y >> 4;
    u8 i;
    while (plane_left < left)
        queue_column(++plane_left + WINDOW_COLUMNS - 1);
    while (plane_left > left)
        queue_column(--plane_left);
    while (plane_top < top)
        queue_row(++plane_top + WINDOW_ROWS - 1);
    while (plane_top > top)
        queue_row(--plane_top);
    for (i = 0; i < REDRAW_COLUMNS && redraw_column < WINDOW_COLUMNS; i++)
        queue_column(plane_left + redraw_column++);
    for (i = 0; i < world.n_dirty; i++) {
        u16 at = world.dirty[i];
        queue_cells(((at & 15) << 8) + ((at >> 5 & 31) << 2), world.map[at]);
    }
    world.n_dirty = 0;
}

/* Line scrolling: strips of the background move at their own speed; ripple sways everything. */
void planes_scroll(s16 x, s16 y, s16 back_x, const s8 *ripple, u16 clock)
{
    const struct ZoneArt *art = &zone_art[current_zone];
    s16 back_y = y >> 3, line = 0, strip = 0;
    u32 *out = scroll;
    if (back_y > 32)
        back_y = 32;
    scroll_y[0] = y;
    scroll_y[1] = back_y;
    while (line < SCREEN_H && strip < art->n_strips) {
        const struct Strip *s = &art->strips[strip++];
        s16 last = s->last - back_y, count;
        u32 both = (u32)(u16)-x << 16 | (u16)-(back_x >> s->shift);
        if (last >= SCREEN_H - 1 || strip == art->n_strips)
            last = SCREEN_H - 1;
        count = last - line + 1;
        if (count <= 0)
            continue;
        line = last + 1;
        if (ripple) {
            u8 phase = (u8)((line + y + clock) << 2);
            for (; count > 0; count -= 4, phase += 16) {
                u32 bent = both + (u16)(ripple[phase] >> 6);
                *out++ = bent;
                *out++ = bent;
                *out++ = bent;
                *out++ = bent;
            }
            out += count; /* the last group may have been too long */
        } else {
            for (; count >= 8; count -= 8) {
                *out++ = both;
                *out++ = both;
                *out++ = both;
                *out++ = both;
                *out++ = both;
                *out++ = both;
                *out++ = both;
                *out++ = both;
            }
            while (count-- > 0)
                *out++ = both;
        }
    }
}

/* ---- sprites ---- */

void sprites_begin(void)
{
    sprite_count = 0;
}

/* A picture with its top left corner at (x, y) on the screen. flags: 0x0800 flips, 0x2000 * palette */
void sprite(u16 picture, s16 x, s16 y, u16 flags)
{
    const struct Picture *p = &pictures[picture];
    u16 *cell;
    if (sprite_count == MAX_SPRITES || x <= -p->width || x >= SCREEN_W || y <= -p->height
        || y >= SCREEN_H)
        return;
    cell = &sprite_table[sprite_count << 2];
    cell[0] = y + 128;
    cell[1] = (u16)p->size << 8 | ++sprite_count;
    cell[2] = p->tile | flags;
    cell[3] = x + 128;
}

void sprites_end(void)
{
    if (sprite_count == 0) {
        sprite_table[0] = sprite_table[1] = sprite_table[2] = sprite_table[3] = 0;
        sprite_count = 1;
    }
    sprite_table[(sprite_count << 2) - 3] &= 0xFF00; /* the last one ends the list */
}

void player_picture(u16 frame)
{
    player_frame = frame;
}

/* Everything that changed, while the beam is off the screen. */
void video_send(void)
{
#ifdef HOST
    send_queue();
#else
    const struct ZoneArt *art = &zone_art[current_zone];
    u16 i;
    dma(sprite_table, SPRITES, sprite_count << 2);
    dma(scroll, HSCROLL, SCREEN_H * 2);
    if (player_frame != player_sent) {
        dma(player_tiles + ((u32)player_frame << 7), PLAYER_TILE << 5, 256);
        player_sent = player_frame;
    }
    animation_clock++;
    for (i = 0; i < art->n_animations; i++) {
        const struct Animation *a = &art->animations[i];
        u16 mask = (1 << a->shift) - 1;
        if ((animation_clock & mask) == i) {
            u16 frame = animation_clock >> a->shift & (a->frames - 1);
            dma(a->data + (u32)(u16)(frame * a->count << 3), a->tile << 5, a->count << 4);
        }
    }
    CONTROL32 = 0x40000010;
    DATA = scroll_y[0];
    DATA = scroll_y[1];
    send_queue();
#endif
}
