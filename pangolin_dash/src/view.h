/* Only in the library for other machines: what the picture of a world needs beside the world.

   The game fills its buffers for the video chip while it computes a frame (draw.c, video.c); on other
   machines they lie in a View. A picture shows the world as its variables were published last. */
#ifndef VIEW_H
#define VIEW_H

#include "host.h"
#include "video.h"

#define PLANE_COLUMNS 32 /* blocks */
#define PLANE_BLOCKS (PLANE_COLUMNS * 16)

struct View {
    u32 scroll[SCREEN_H + 4]; /* plane A, plane B of every line, and what planes_scroll writes beyond */
    u16 sprite_table[MAX_SPRITES * 4];
    u16 scroll_y[2];
    u16 sprite_count, player_frame;
    u16 clock; /* of the tiles' animations */
    s16 plane_left, plane_top, redraw_column;
    u8 queued; /* blocks drawn in this frame */
    u8 behind; /* the world has moved on: plane A must follow */
    u8 plane[PLANE_BLOCKS]; /* the blocks that plane A shows, row after row */
};

extern _Thread_local struct View *current_view;

/* video.c */
void plane_redraw(void);
void plane_jump(void);
void plane_follow(void);

/* screen.c */
void screen_full(const struct View *view, u8 zone, u8 *out);
void screen_small(const struct View *view, u8 zone, u8 *out);

#endif
